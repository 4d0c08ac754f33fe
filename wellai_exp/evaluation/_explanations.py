"""Heat maps laid over the photographs that they explain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from wellai_exp.errors import SettingError
from wellai_exp.evaluation._contact_sheet import contact_sheet
from wellai_exp.evaluation._style import BLUE, VERMILION
from wellai_exp.metrics import ArrayError
from wellai_exp.seeding import generator

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from wellai_exp.evaluation._evaluation import Evaluation

# How much of the photograph the heat's colour covers, the same everywhere: cold places grow dark, so that heat shows on
# white walls too.
_OPACITY = 0.6


def explained_rows(evaluation: Evaluation, top: int = 12, seed: int = 0) -> npt.NDArray[np.int64]:
    """Draw rows to explain: half of them predicted wrongly, half rightly, as far as there are so many.

    Parameters
    ----------
    evaluation : Evaluation
        Predictions of N rows.
    top : int
        The most rows to give.
    seed : int
        Decides the draw.

    Returns
    -------
    ndarray of int64
        Row indices, mistakes first; N or `top`, whichever is less.

    Raises
    ------
    SettingError
        Where `top` is below 1.
    """
    if top < 1:
        raise SettingError("top", top, "there is nothing to explain", "set top=1 or more")
    shuffled = generator(seed, "explanations").permutation(len(evaluation.labels))
    wrong = (evaluation.predictions != evaluation.labels)[shuffled]
    mistakes, right = shuffled[wrong], shuffled[~wrong]
    first = max((top + 1) // 2, top - len(right))
    mistakes = mistakes[:first]
    return np.concatenate([mistakes, right[: top - len(mistakes)]]).astype(np.int64)


def explanations_figure(
    evaluation: Evaluation,
    rows: Sequence[int] | npt.NDArray[np.int64],
    images: npt.NDArray[Any],
    heat_maps: npt.NDArray[Any],
    columns: int = 4,
) -> Figure:
    """Show photographs beside the parts of them that spoke for the predicted class.

    Parameters
    ----------
    evaluation : Evaluation
        Predictions of N rows.
    rows : sequence of int, length n
        The rows shown, e.g. those of `explained_rows`.
    images : ndarray, shape [n, S, S, 3]
        RGB, 0 to 255, as the network sees them.
    heat_maps : ndarray, shape [n, S, S]
        In [0, 1], for the predicted class, as `wellai_exp.models.grad_cam` gives them.
    columns : int
        Photographs in a row.

    Returns
    -------
    matplotlib.figure.Figure
        Framed blue where the prediction is right, vermilion where it is wrong.

    Raises
    ------
    ArrayError
        Where the shapes do not fit each other.
    """
    chosen = np.asarray(rows, np.int64)
    if images.shape[:3] != heat_maps.shape or len(images) != len(chosen) or images.shape[3:] != (3,):
        raise ArrayError(
            f"{len(chosen)} rows want images [{len(chosen)}, S, S, 3] and heat maps [{len(chosen)}, S, S], "
            f"but they are {list(images.shape)} and {list(heat_maps.shape)}."
        )
    pictures = [_beside(image, heat) for image, heat in zip(images, heat_maps, strict=True)]
    right = evaluation.predictions[chosen] == evaluation.labels[chosen]
    return contact_sheet(
        pictures,
        [_caption(evaluation, int(row)) for row in chosen],
        f"What spoke for the predicted class: {int(right.sum())} right and {int((~right).sum())} wrong predictions",
        columns,
        note="Label, → prediction and its probability; blue frame: right, vermilion: wrong. Grad-CAM: the brighter a "
        "place, the more it spoke for the prediction.",
        frames=[BLUE if fine else VERMILION for fine in right],
        tile=(2.7, 1.35),
    )


def _beside(image: npt.NDArray[Any], heat: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Give the image and, to its right, its grey version under the heat: uint8 [S, 2S, 3]."""
    from matplotlib import colormaps

    pixels = np.clip(np.asarray(image, np.float64), 0, 255)
    # Rec. 601 luma; on grey the heat's colours cannot be taken for the photograph's.
    grey = (pixels @ (0.299, 0.587, 0.114))[..., None]
    colour = 255 * colormaps["inferno"](heat)[..., :3]
    return np.concatenate([pixels, (1 - _OPACITY) * grey + _OPACITY * colour], axis=1).round().astype(np.uint8)


def _caption(evaluation: Evaluation, row: int) -> str:
    names = evaluation.class_names
    given = int(evaluation.predictions[row])
    return f"{names[evaluation.labels[row]]}\n→ {names[given]}  {evaluation.probabilities[row, given]:.2f}"
