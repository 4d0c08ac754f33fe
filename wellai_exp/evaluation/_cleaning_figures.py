"""Pictures of a data set before and after it was cleaned, and of what a check finds at each threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from wellai_exp.evaluation._style import BLUE, CYCLE, GREY, ORANGE, PALE, canvas, grid_along, printable
from wellai_exp.metrics import ArrayError
from wellai_exp.seeding import derive_seed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

IntArray = npt.NDArray[np.int64]
_COMPONENTS = 50
_PERPLEXITY = 30.0


def class_counts_figure(names: Sequence[str], before: IntArray, after: IntArray) -> Figure:
    """Draw the images of each class before and after cleaning, the largest class first.

    Parameters
    ----------
    names : sequence of str
        Of C classes.
    before, after : array of int64, shape (C,)
        Images of each.
    """
    if not len(names) == len(before) == len(after):
        raise ArrayError(f"{len(names)} classes came with {len(before)} and {len(after)} counts.")
    order = np.lexsort((np.arange(len(names)), -before, -after))[::-1]
    places = np.arange(len(names))
    with canvas(7.5, max(2.0, 0.6 + 0.155 * len(names))) as (figure, axes):
        axes.barh(places, before[order], color=PALE, height=0.8, label="before")
        axes.barh(places, after[order], color=BLUE, height=0.8, label="after")
        axes.set_yticks(places, [printable(names[index], 34) for index in order], fontsize=7)
        axes.set(ylim=(-0.7, len(names) - 0.3), xlabel="images", title="Class balance before and after")
        axes.legend(loc="lower right")
        grid_along(axes, "x")
    return figure


def embedding_map(features: npt.NDArray[np.float32], seed: int) -> npt.NDArray[np.float64]:
    """Lay embeddings out in a plane so that neighbours stay neighbours.

    t-SNE (van der Maaten and Hinton, JMLR 9, 2008) on the first 50 principal components.

    Parameters
    ----------
    features : array of float32, shape (n, D)
        At least 5 rows.
    seed : int
        Of the random start.

    Returns
    -------
    array of float64, shape (n, 2)
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    state = derive_seed(seed, "embedding map")
    components = min(_COMPONENTS, len(unit) - 1, unit.shape[1])
    flat = PCA(components, random_state=state).fit_transform(unit)
    perplexity = min(_PERPLEXITY, (len(unit) - 1) / 3)
    found = TSNE(2, perplexity=perplexity, init="pca", random_state=state).fit_transform(flat)
    return np.asarray(found, np.float64)


def embedding_figure(places: npt.NDArray[np.float64], kinds: Sequence[str], ground: str) -> Figure:
    """Draw pictures as dots where `embedding_map` puts them.

    Parameters
    ----------
    places : array of float64, shape (n, 2)
        Where each lies.
    kinds : sequence of str, length n
        What each is; the colours follow it.
    ground : str
        The kind that is drawn pale, below the others.
    """
    found = np.array(kinds, dtype=object)
    with canvas(7.5, 6.2) as (figure, axes):
        names = [ground, *sorted(set(kinds) - {ground})]
        for index, name in enumerate(names):
            rows = found == name
            quiet = name == ground
            colour = "#C9D3DC" if quiet else CYCLE[(index - 1) % len(CYCLE)]
            size = 8 if quiet else 22
            label = f"{printable(name)} ({rows.sum():,})"
            axes.scatter(*places[rows].T, s=size, color=colour, label=label, linewidths=0, zorder=1 + (not quiet))
        axes.set(xticks=[], yticks=[], title="Pictures by what they look like")
        axes.legend(loc="upper left", bbox_to_anchor=(0, -0.01), ncols=2, fontsize=8)
        for spine in axes.spines.values():
            spine.set_visible(False)
    return figure


def threshold_figure(table: pd.DataFrame, title: str, threshold: float, names: Mapping[str, str]) -> Figure:
    """Draw shares against a check's threshold.

    Parameters
    ----------
    table : DataFrame
        Column ``threshold``, rising, and those that `names` lists, each 0 to 1.
    title : str
        What is drawn.
    threshold : float
        The one that is set, drawn as a line.
    names : mapping of str to str
        Column -> what the legend calls it.
    """
    with canvas(7, 3.6) as (figure, axes):
        for index, (column, name) in enumerate(names.items()):
            axes.plot(table["threshold"], table[column], color=(BLUE, ORANGE)[index % 2], marker="o", ms=3, label=name)
        axes.axvline(threshold, color=GREY, linestyle="--", linewidth=1)
        axes.text(threshold, 1.02, f" {threshold:g}", color=GREY, fontsize=8, va="bottom")
        axes.set(ylim=(0, 1.08), xlabel="threshold", ylabel="share", title=title)
        axes.legend()
        grid_along(axes, "y")
    return figure
