"""What an export shows of its artifacts: rows for the terminal, the card, a CSV file and a picture."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd
from rich import box
from rich.table import Table
from rich.text import Text

from wellai_exp.export import Artifact, Bundle
from wellai_exp.report import Whisker

_VERDICTS: Mapping[bool | None, tuple[str, str]] = {
    True: ("fit", "green"),
    False: ("unfit", "bold red"),
    None: ("not checked", "yellow"),
}
_CHANGED = ("accuracy", "auc_pr_macro")
_ENDS = ("change", "low", "high")
_FOUND = ("latency_ms", "largest", "agreement", *_CHANGED, *(f"{name}_{end}" for name in _CHANGED for end in _ENDS))


def artifact_rows(bundle: Bundle) -> pd.DataFrame:
    """Give one row an artifact and runtime, numbers and all; an artifact that no runtime ran has one row."""
    rows = [
        {
            "artifact": artifact.name,
            "format": artifact.format,
            "size": artifact.size,
            "runtime": runtime,
            "size_mb": artifact.size_mb,
            "verdict": _VERDICTS[artifact.fit][0],
            "problem": artifact.problem,
            **{name: found.get(name, math.nan) for name in _FOUND},
        }
        for artifact in bundle.artifacts
        for runtime, found in (artifact.parity or {"": {}}).items()
    ]
    return pd.DataFrame(rows)


def readable_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Give the same for the card."""
    if rows.empty:
        return rows

    def whiskers(name: str) -> list[Whisker]:
        ends = zip(*(rows[f"{name}_{end}"].astype(float) for end in _ENDS), strict=True)
        return [Whisker(*each) for each in ends]

    return pd.DataFrame(
        {
            "Artifact": rows["artifact"],
            "Runtime": rows["runtime"],
            "Verdict": rows["verdict"],
            "MB": rows["size_mb"].astype(float).round(2),
            "ms a frame": rows["latency_ms"].astype(float).round(2),
            "Largest difference": [
                f"{value:.1e}" if math.isfinite(value) else "" for value in rows["largest"].astype(float)
            ],
            "Top-1 agreement": rows["agreement"].astype(float),
            "Accuracy, change": whiskers("accuracy"),
            "Macro AUC-PR, change": whiskers("auc_pr_macro"),
        }
    )


def artifacts_table(rows: pd.DataFrame, title: str) -> Table:
    """Give the same for the terminal, two lines an artifact, so that 80 columns hold it."""
    table = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in ("artifact", "MB", "ms", "largest\ngap", "top-1", "accuracy\n(points)", "AUC-PR\n(points)"):
        table.add_column(heading, justify="left" if heading == "artifact" else "right", no_wrap=True)
    for row in rows.to_dict("records"):
        verdict = next(style for text, style in _VERDICTS.values() if text == row["verdict"])
        said = f"{row['runtime']}: {row['verdict']}" if row["runtime"] else str(row["verdict"])
        table.add_row(
            Text.assemble(str(row["artifact"]), "\n  ", (said, verdict)),
            f"{row['size_mb']:.2f}",
            _number(row["latency_ms"], "{:.1f}"),
            _number(row["largest"], "{:.1e}"),
            _number(row["agreement"], "{:.1%}"),
            *(_change(*(100 * float(row[f"{name}_{end}"]) for end in _ENDS)) for name in _CHANGED),
        )
    return table


def problems_of(bundle: Bundle) -> list[str]:
    """Give a sentence for each artifact that is unfit, was not checked, or could not be written."""
    said = [f"{artifact.name}: {artifact.problem}" for artifact in bundle.artifacts if artifact.problem]
    return said + [f"{name}: {problem}" for name, problem in bundle.missing.items()]


def largest_difference(artifacts: tuple[Artifact, ...], exact: set[str]) -> float | None:
    """Give the greatest difference of a probability among fit artifacts of these names; None where there are none."""
    fit = [artifact for artifact in artifacts if artifact.fit and artifact.name in exact]
    return max((found["largest"] for artifact in fit for found in artifact.parity.values()), default=None)


def _number(value: object, form: str) -> str:
    return form.format(value) if isinstance(value, float) and math.isfinite(value) else ""


def _change(change: float, low: float, high: float) -> str:
    if not math.isfinite(change):
        return ""
    return f"{change:+.1f}" + (f"\n{low:+.1f} to {high:+.1f}" if math.isfinite(low) else "")
