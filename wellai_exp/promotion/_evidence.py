"""What gates judge by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from wellai_exp.data import Manifest
from wellai_exp.evaluation import Evaluation, pair_evaluations
from wellai_exp.tracking import ModelRef

_MEGABYTE = 1e6


@dataclass(frozen=True, eq=False)
class Contender:
    """A registered version and what is known of it.

    Parameters
    ----------
    model : ModelRef
        Its verified files.
    evaluation : Evaluation
        Its predictions of images that it was not trained on.
    tags : mapping of str to str
        The version's tags.
    evaluated_in : str
        Id of the run that holds the predictions.
    """

    model: ModelRef
    evaluation: Evaluation
    tags: Mapping[str, str] = field(default_factory=dict)
    evaluated_in: str = ""

    @property
    def title(self) -> str:
        """How sentences call it, e.g. ``demo/3``."""
        return f"{self.model.name}/{self.model.version}"

    @property
    def size_mb(self) -> float:
        """Size of the model file in 10⁶ bytes."""
        return self.model.path.stat().st_size / _MEGABYTE

    @property
    def data_digest(self) -> str:
        """The version of its training data; empty where it was not recorded."""
        return str(self.model.metadata.get("data_digest", ""))


@dataclass(frozen=True, eq=False)
class Evidence:
    """All that is known of a challenger and of the champion whose place it is to take.

    Parameters
    ----------
    challenger : Contender
        The version to be promoted.
    champion : Contender or None
        The version that it would replace, evaluated on the same images; its rows are brought into the challenger's
        order. None where there is no champion yet.
    manifest : Manifest or None
        The data that the challenger was trained on, where they are still known.
    manifest_problem : str
        Why they are not.
    runtime : str
        Name of the runtime in which latency is measured.
    latency_ms : callable or None
        Measures how long the challenger takes for one frame there, in milliseconds; raises `TrialFailed` where it
        cannot run. Only a gate that needs it calls it. None where there is no runtime to measure in.

    Raises
    ------
    DataError
        Where champion and challenger were evaluated on different images or know different classes.
    """

    challenger: Contender
    champion: Contender | None = None
    manifest: Manifest | None = None
    manifest_problem: str = ""
    runtime: str = ""
    latency_ms: Callable[[], float] | None = None

    def __post_init__(self) -> None:
        if self.champion is not None:
            ordered = pair_evaluations(self.challenger.evaluation, self.champion.evaluation)
            object.__setattr__(self, "champion", replace(self.champion, evaluation=ordered))
