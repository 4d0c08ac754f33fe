"""What is left of the scores when the images are changed, as a section and as a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from wellai_exp.errors import DataError
from wellai_exp.report._blocks import Block, Picture, Section, Table
from wellai_exp.report._values import number

if TYPE_CHECKING:
    from wellai_exp.report._pictures import Image

_CHANGE = "accuracy_delta"
_NEEDED = ("perturbation", "strength", "value", "unit", "images", "accuracy", _CHANGE)


def robustness_section(table: pd.DataFrame, figure: Image | None = None) -> Section:
    """Show how the scores fall when the images are changed.

    Parameters
    ----------
    table : DataFrame
        From `wellai_exp.evaluation.robustness`.
    figure : Figure or bytes, optional
        Its picture.

    Raises
    ------
    DataError
        Where the table lacks a column.
    """
    if lacking := [name for name in _NEEDED if name not in table.columns]:
        raise DataError(f"A robustness table needs the column {lacking[0]!r}, but has {', '.join(table.columns)}.")
    headings = {
        "perturbation": "Change",
        "size": "Size",
        "accuracy": "Accuracy",
        _CHANGE: "Against clean",
        "auc_pr_macro": "AUC-PR, macro",
        "auc_pr_macro_delta": "AUC-PR against clean",
    }
    sized = table.assign(size=_sizes(table))
    shown = {name: heading for name, heading in headings.items() if name in sized.columns}
    digits = dict.fromkeys(list(shown)[2:], 3)
    blocks: list[Block] = []
    if figure is not None:
        blocks.append(Picture(figure, "Accuracy and AUC-PR by strength of each change, beside those of clean images"))
    caption = f"The same {table['images'].iloc[0]:,} test images, changed."
    blocks.append(Table(sized[list(shown)], caption, headings=shown, digits=digits))
    return Section("Robustness", blocks, worst_change(table))


def worst_change(table: pd.DataFrame) -> str:
    """Say in a sentence which change costs most accuracy."""
    changed = table[table["strength"] > 0]
    if changed.empty:
        return "No change of the images was tried."
    place = int(changed[_CHANGE].to_numpy().argmin())
    worst = changed.iloc[place]
    if worst[_CHANGE] >= 0:
        return "No change that was tried lowers the accuracy."
    size = _sizes(changed).iloc[place]
    return (
        f"Of the changes tried, {worst['perturbation']} ({size}) costs most: accuracy {number(worst['accuracy'], 3)}, "
        f"{number(-worst[_CHANGE], 3)} below that of clean images."
    )


def _sizes(table: pd.DataFrame) -> pd.Series[str]:
    """Write the strength of each change in its unit: nothing for clean images, the unit alone where all are alike."""
    steps = table.groupby("perturbation")["strength"].transform("size")
    units = table["unit"].astype(str)
    sized = table["value"].map("{:g} ".format) + units
    return units.where(steps == 1, sized)
