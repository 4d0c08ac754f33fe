"""Whether a probability of 0.8 is right eight times in ten, and the one number that mends it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from wellai_exp.metrics._checks import (
    ArrayError,
    FloatArray,
    IntArray,
    check_probabilities,
    check_scores,
    check_weights,
)

BINS = 15
# Temperatures that are tried: beyond these, a network says nothing or is never in doubt.
_COLDEST, _HOTTEST = 0.02, 50.0


@dataclass(frozen=True, eq=False)
class Reliability:
    """Confidence and accuracy of predictions in bins of equal width.

    Parameters
    ----------
    edges : ndarray, shape [bins + 1]
        Of the confidence.
    confidence, accuracy : ndarray, shape [bins]
        Means of each bin; NaN where it is empty.
    rows : ndarray, shape [bins]
        Rows, or their weight.
    error : float
        Expected calibration error.
    """

    edges: FloatArray
    confidence: FloatArray
    accuracy: FloatArray
    rows: FloatArray
    error: float


class ConfidenceBins:
    """Rows put into bins by their confidence once, for many weightings.

    Parameters
    ----------
    labels : ndarray of int, shape [N]
    probabilities : ndarray, shape [N, C]
    bins : int
        Bins of equal width, each without its lower edge.
    """

    def __init__(self, labels: IntArray, probabilities: npt.NDArray[Any], bins: int = BINS) -> None:
        self.bins = bins
        self.confidence = probabilities.max(axis=1).astype(np.float64)
        self.hits = probabilities.argmax(axis=1) == labels
        self.edges = np.linspace(0, 1, bins + 1)
        self._bin = np.clip(np.searchsorted(self.edges, self.confidence) - 1, 0, bins - 1)
        self._gaps = self.hits - self.confidence

    def total(self, values: FloatArray) -> FloatArray:
        """Sum values [N] in each bin."""
        return np.bincount(self._bin, values, self.bins).astype(np.float64)

    def error(self, weights: FloatArray | None = None) -> float:
        """Give the expected calibration error with rows weighted by `weights` [N]."""
        weighted = self._gaps if weights is None else weights * self._gaps
        return float(np.abs(self.total(weighted)).sum() / (len(self._gaps) if weights is None else weights.sum()))


def reliability(
    labels: npt.ArrayLike, probabilities: npt.ArrayLike, bins: int = BINS, weights: npt.ArrayLike | None = None
) -> Reliability:
    """Compare confidence with accuracy.

    Parameters
    ----------
    labels : array_like of int, shape [N]
        True class indices.
    probabilities : array_like of float, shape [N, C]
        Predicted probabilities; the highest of a row is its confidence.
    bins : int
        Bins of equal width, each without its lower edge.
    weights : array_like of float, shape [N], optional
        How often each row counts, at least 0; by default once.

    Returns
    -------
    Reliability
        Its error is the expected calibration error of Guo et al., "On calibration of modern neural networks", ICML
        2017: the mean over the rows of their bins' difference between accuracy and confidence.

    Raises
    ------
    ArrayError
        Where `bins` is below 1, or the weights do not fit the rows; otherwise see `check_probabilities`.
    """
    if bins < 1:
        raise ArrayError(f"bins must be at least 1, but it is {bins}.")
    binned = ConfidenceBins(*check_probabilities(labels, probabilities), bins)
    each = np.ones(len(binned.hits)) if weights is None else check_weights(weights, len(binned.hits))
    rows = binned.total(each)
    with np.errstate(invalid="ignore"):
        confidence, accuracy = binned.total(each * binned.confidence) / rows, binned.total(each * binned.hits) / rows
    return Reliability(binned.edges, confidence, accuracy, rows, binned.error(each))


def fit_temperature(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> float:
    """Find the temperature that makes probabilities most likely (Guo et al., ICML 2017, section 4.2).

    Parameters
    ----------
    labels : array_like of int, shape [N]
        True class indices, of rows that the model was not trained on.
    probabilities : array_like of float, shape [N, C]
        Predicted probabilities.

    Returns
    -------
    float
        T > 0, between 0.02 and 50. Above 1 the model was too sure of itself. Their logarithms divided by T, and the
        softmax of that, have the least log loss; they give every row the same label as before.

    Raises
    ------
    ArrayError
        See `check_probabilities`.
    """
    from scipy.optimize import minimize_scalar

    true, array = check_probabilities(labels, probabilities)
    logs = _logs(array)
    truth = logs[np.arange(len(true)), true]

    def loss(log_inverse: float) -> float:
        inverse = np.exp(log_inverse)
        # The highest logarithm of a row is 0, so that nothing overflows.
        return float((np.log(np.exp(inverse * logs).sum(axis=1)) - inverse * truth).mean())

    found = minimize_scalar(loss, bounds=(-np.log(_HOTTEST), -np.log(_COLDEST)), method="bounded")
    return float(np.exp(-found.x))


def scale_temperature(probabilities: npt.ArrayLike, temperature: float) -> FloatArray:
    """Give the softmax of the probabilities' logarithms divided by a temperature, float64 [N, C].

    Raises
    ------
    ArrayError
        Where the temperature is not above 0, or the probabilities are no finite numbers of shape [N, C].
    """
    if not 0 < temperature < np.inf:
        raise ArrayError(f"temperature must be above 0, but it is {temperature}.")
    scaled = np.exp(_logs(check_scores(probabilities, "probabilities")) / temperature)
    result: FloatArray = scaled / scaled.sum(axis=1, keepdims=True)
    return result


def _logs(probabilities: npt.NDArray[Any]) -> FloatArray:
    """Give the logarithms [N, C], each row shifted to have 0 as its highest."""
    # A softmax that came out as 0 was below the least number of its own type, not of a wider one.
    least = float(np.finfo(probabilities.dtype).smallest_subnormal)
    logs = np.log(np.maximum(probabilities.astype(np.float64), least))
    shifted: FloatArray = logs - logs.max(axis=1, keepdims=True)
    return shifted
