"""Exact neighbours by matrix products, for imbalanced-learn's samplers."""

from __future__ import annotations

from typing import Any

import numpy as np

from wellai_exp.imbalance._base import Floats, Labels

_ROWS_AT_ONCE = 1024
# More candidates than neighbours, so that float32 rounding of the products cannot push a neighbour out of the list.
_SPARE = 3


class BlasNeighbours:
    """Exact Euclidean neighbours among few enough rows to compare with all of them.

    scikit-learn's own search does this in float64, at half the speed on wide rows.

    Products in float32 propose a few candidates; their distances are then computed from the differences, so a row that
    was fitted finds itself first, at distance 0. Asked for more neighbours than there are rows it gives all of them
    (scikit-learn raises an error), which lowers the neighbour count for just the classes that are too small for it.

    Parameters
    ----------
    n_neighbors : int
        Neighbours to give, the row itself included.
    n_jobs : int or None
        Taken because imbalanced-learn sets it; the threads are the matrix library's.
    """

    def __init__(self, n_neighbors: int = 5, n_jobs: int | None = None) -> None:
        self.n_neighbors = n_neighbors
        self.n_jobs = n_jobs
        self._rows: Floats = np.empty((0, 0), np.float32)

    def __sklearn_clone__(self) -> BlasNeighbours:
        """Give itself, so that a sampler's clone finds the fit that is already there."""
        return self

    def set_params(self, **params: Any) -> BlasNeighbours:
        """Set the constructor's arguments."""
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def fit(self, X: Floats, y: Labels | None = None) -> BlasNeighbours:
        """Keep the rows [N, D] to search."""
        del y
        self._rows = X
        # Distances do not change when the mean is taken away, and short vectors lose fewer digits in the products.
        self._mean = X.mean(axis=0, dtype=np.float64).astype(X.dtype)
        self._centred = X - self._mean
        self._squares = np.einsum("nd,nd->n", self._centred, self._centred)
        return self

    def kneighbors(self, X: Floats | None = None, n_neighbors: int | None = None, return_distance: bool = True) -> Any:
        """Give distances and positions of the nearest rows, nearest first.

        Parameters
        ----------
        X : float32 [Q, D] or None
            Rows to search for; None means the fitted rows (each of which then finds itself).
        n_neighbors : int or None
            How many; None means what the constructor was given.
        return_distance : bool
            Whether to give the distances too.

        Returns
        -------
        distances : float32 [Q, K]
            Only if `return_distance`.
        positions : int64 [Q, K]
        """
        query = self._rows if X is None else X
        wanted = min(n_neighbors or self.n_neighbors, len(self._rows))
        positions = np.empty((len(query), wanted), np.int64)
        squared = np.empty((len(query), wanted), np.float32)
        for start in range(0, len(query), _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            positions[part], squared[part] = self._nearest(query[part], wanted)
        return (np.sqrt(squared), positions) if return_distance else positions

    def kneighbors_graph(
        self, X: Floats | None = None, n_neighbors: int | None = None, mode: str = "connectivity"
    ) -> Any:
        """Give the neighbours as a sparse matrix [Q, N] of ones, or of distances if `mode` is ``distance``."""
        from scipy.sparse import csr_matrix

        distances, positions = self.kneighbors(X, n_neighbors)
        values = distances if mode == "distance" else np.ones_like(distances)
        starts = np.arange(0, positions.size + 1, positions.shape[1])
        return csr_matrix((values.ravel(), positions.ravel(), starts), shape=(len(positions), len(self._rows)))

    def _nearest(self, query: Floats, wanted: int) -> tuple[Labels, Floats]:
        """Give positions and squared distances of the `wanted` nearest rows to each of a few rows."""
        scores = (query - self._mean) @ self._centred.T
        scores *= -2
        scores += self._squares
        n_candidates = min(wanted + _SPARE, len(self._rows))
        candidates = _smallest(scores, n_candidates)
        exact = np.empty(candidates.shape, np.float32)
        for column in range(n_candidates):
            difference = self._rows[candidates[:, column]] - query
            exact[:, column] = np.einsum("nd,nd->n", difference, difference)
        order = np.argsort(exact, axis=1, kind="stable")[:, :wanted]
        return np.take_along_axis(candidates, order, 1), np.take_along_axis(exact, order, 1)


def _smallest(scores: Floats, number: int) -> Labels:
    """Give the positions of the `number` smallest scores in each row, in no order; overwrites `scores`."""
    rows = np.arange(len(scores))
    if number > 12 or number == scores.shape[1]:
        return np.argpartition(scores, number - 1, axis=1)[:, :number]
    # A few passes of argmin are three times as fast as argpartition on long rows.
    found = np.empty((len(scores), number), np.int64)
    for column in range(number):
        found[:, column] = scores.argmin(axis=1)
        scores[rows, found[:, column]] = np.inf
    return found
