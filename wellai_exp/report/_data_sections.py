"""What is in a data set, in the order in which one asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from wellai_exp.report._blocks import Block, Facts, Highlight, Highlights, Picture, Points, Section, Table, Text
from wellai_exp.report._values import Code, number

if TYPE_CHECKING:
    from wellai_exp.report._pictures import Image

_CLASS_HEADINGS = {
    "label": "Class",
    "train": "Training images",
    "test": "Test images",
    "share": "Share of all",
    "twins": "With a near-duplicate",
    "shorter_side": "Shorter side (px), median",
    "aspect": "Width over height, median",
}


@dataclass(frozen=True, eq=False)
class DataFacts:
    """What is known of a data set.

    Parameters
    ----------
    name, digest : str
        Its name, and the digest of its manifest.
    parent : str
        The digest of the version before it; "" where there is none.
    root : str
        The folder of its photographs.
    numbers : mapping of str to float
        From `wellai_exp.data.describe`.
    classes : DataFrame
        From `wellai_exp.data.class_table`.
    notes : sequence of str
        What the user should know of how it was made.
    balance, sizes, samples, twins : Figure or bytes
        Its class balance, sizes and shapes, a photograph of each class, groups of near-duplicates.
    """

    name: str
    digest: str
    parent: str
    root: str
    numbers: Mapping[str, float]
    classes: pd.DataFrame
    notes: tuple[str, ...]
    balance: Image
    sizes: Image
    samples: Image
    twins: Image


def data_sections(facts: DataFacts) -> list[Section]:
    """Assemble the page: in brief, classes, photographs, sizes, near-duplicates, where the data are."""
    classes = Table(facts.classes, "Click a heading to sort.", _CLASS_HEADINGS, {"share": 4, "aspect": 2})
    return [
        _brief(facts),
        Section("Classes", [Picture(facts.balance, "Images of each class in the training and test part"), classes]),
        Section("A photograph of each class", [Picture(facts.samples, "One photograph of each class, by name")]),
        Section("Sizes and shapes", [Picture(facts.sizes, "Histograms of the shorter side and of width over height")]),
        _near_duplicates(facts),
        Section(
            "Version",
            [Facts({"Digest": Code(facts.digest), "Version before": _code(facts.parent), "Folder": Code(facts.root)})],
            "The digest depends on the bytes, labels, parts, folds and groups of the images.",
        ),
    ]


def _code(text: str) -> Code | None:
    return Code(text) if text else None


def _brief(facts: DataFacts) -> Section:
    numbers = facts.numbers
    ratio = f"{number(numbers['imbalance_ratio'], 1)} to 1"
    parts = f"{numbers['train']:,.0f} to train on, {numbers['test']:,.0f} to test"
    items = [
        Highlight("Images", f"{numbers['images']:,.0f}", parts),
        Highlight("Classes", f"{numbers['classes']:,.0f}", f"as {number(numbers['effective_classes'], 1)} equal ones"),
        Highlight("Class sizes", f"{numbers['smallest_class']:,.0f} to {numbers['largest_class']:,.0f}", ratio),
        Highlight("Shorter side", f"{numbers['shorter_side_median']:,.0f} px", _range(facts)),
        Highlight("Leaked images", f"{numbers['leaked_images']:,.0f}", "of the test part, with a twin in training"),
    ]
    blocks: list[Block] = [Highlights(items)]
    if facts.notes:
        blocks.append(Points(facts.notes))
    return Section("In brief", blocks, "Effective classes: the exponential of the entropy of the classes' shares.")


def _range(facts: DataFacts) -> str:
    return f"{facts.numbers['shorter_side_min']:,.0f} to {facts.numbers['shorter_side_max']:,.0f}"


def _near_duplicates(facts: DataFacts) -> Section:
    twins, torn = facts.numbers["twins"], facts.numbers["twins_of_other_label"]
    if not twins:
        return Section("Near-duplicates", [Text("No image has a near-duplicate.")])
    said = [f"{twins:,.0f} images have a near-duplicate: resized, recompressed or mirrored."]
    if torn:
        said.append(f"{torn:,.0f} of them have one under another label; one of the two is wrong.")
    if leaked := facts.numbers["leaked_images"]:
        said.append(f"{leaked:,.0f} test images have one in the training part, so scores on them are too high.")
    return Section("Near-duplicates", [Text(said), Picture(facts.twins, "Groups of near-duplicates, one a row")])
