"""What gates say, and how it is kept."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wellai_exp.promotion._evidence import Contender, Evidence
    from wellai_exp.promotion._gate import Gate


@dataclass(frozen=True)
class Verdict:
    """What one gate says of a challenger.

    Parameters
    ----------
    gate : str
        The gate's name.
    passed : bool
        Whether it lets the challenger through.
    sentence : str
        What it found, for people.
    figures : mapping of str to float
        What it found, for programs.

    Raises
    ------
    ValueError
        Where gate or sentence is empty.
    """

    gate: str
    passed: bool
    sentence: str
    figures: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.gate.strip() or not self.sentence.strip():
            raise ValueError("a verdict needs a gate and a sentence")
        object.__setattr__(self, "passed", bool(self.passed))
        object.__setattr__(self, "figures", {name: float(value) for name, value in self.figures.items()})

    def as_json(self) -> dict[str, object]:
        """Give it in plain values; figures that are not finite become None, which JSON can hold."""
        figures = {name: value if math.isfinite(value) else None for name, value in self.figures.items()}
        return {"gate": self.gate, "passed": self.passed, "sentence": self.sentence, "figures": figures}


def judge(gates: Iterable[Gate], evidence: Evidence) -> list[Verdict]:
    """Ask every gate, also after one has refused: what else is in the way is worth knowing."""
    return [gate.judge(evidence) for gate in gates]


def document(verdicts: Iterable[Verdict], evidence: Evidence | None = None) -> dict[str, object]:
    """Give verdicts in plain values, with what they rest on.

    Parameters
    ----------
    verdicts : iterable of Verdict
    evidence : Evidence, optional
        What was judged; None where there was none that could be.

    Returns
    -------
    dict
        ``verdicts``, a list of `Verdict.as_json`, and with evidence ``images`` (their number), ``data_digest`` (the
        version of the challenger's training data), ``challenger`` and ``champion`` (None without one), each with
        ``model``, ``sha256`` and ``evaluated_in``, the run that holds its predictions.
    """
    found: dict[str, object] = {"verdicts": [verdict.as_json() for verdict in verdicts]}
    if evidence is None:
        return found
    champion = evidence.champion
    return {
        "challenger": _identity(evidence.challenger),
        "champion": None if champion is None else _identity(champion),
        "images": len(evidence.challenger.evaluation.labels),
        "data_digest": evidence.challenger.data_digest,
        **found,
    }


def _identity(contender: Contender) -> dict[str, object]:
    return {"model": contender.title, "sha256": contender.model.sha256, "evaluated_in": contender.evaluated_in}
