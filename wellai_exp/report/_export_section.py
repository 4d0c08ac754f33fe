"""What a model card says of the exported forms of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from wellai_exp.report._blocks import Block, Facts, Picture, Points, Section, Table, Text

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def export_section(artifacts: pd.DataFrame, images: int, problems: Sequence[str], picture: Figure | None) -> Section:
    """Give the table of artifacts, what is wrong with some, and the trade-off.

    Parameters
    ----------
    artifacts : DataFrame
        One row an artifact and runtime, ready to be read; the first column names the artifact.
    images : int
        Test images that they were run on; 0 for none.
    problems : sequence of str
        A sentence for each artifact that is unfit, was not checked, or could not be written.
    picture : Figure or None
        Quality against size and latency.
    """
    blocks: list[Block] = []
    if not artifacts.empty:
        blocks.append(Table(artifacts, "Each exported form in the runtimes that read it, beside the model in Keras."))
    if problems:
        blocks.append(Points(problems))
    if picture is not None:
        blocks.append(Picture(picture, "Quality of each exported form against its size and its latency."))
    lead = (
        f"Each form was run in its own runtime on {images} test images and compared with Keras."
        if images
        else "No form was compared with Keras: there were no test images to do it with."
    )
    return Section("Exported forms", blocks or [Text("Nothing was exported.")], lead)


def licences_section(notes: Mapping[str, object]) -> Section:
    """Say what is known of the licences of weights; what is not, the page calls unknown."""
    return Section("Weights and their licences", [Facts(notes)], "Nothing here was guessed: what is unknown says so.")
