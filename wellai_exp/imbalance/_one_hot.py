"""Rows that stand for themselves as one-hot vectors while imbalanced-learn combines them.

Every new row of SMOTE and its kin is a weighted sum of two rows of the data, chosen by neighbours and support vectors.
So the samplers are given the sparse identity matrix in place of the features, with neighbours and an SVM that look the
features up; the rows they make are then the weights, and one sparse product gives the new features. Everything that
imbalanced-learn copies, stacks and checks for each class is small, and what it asks for again for each class (the
neighbours of all rows; SVM-SMOTE's SVM, fitted anew for every class on equal rows) is computed once.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from wellai_exp.imbalance._base import Floats, Labels
from wellai_exp.imbalance._blas import BlasNeighbours


class OneHotRows:
    """The features of one resampling, and what is computed of them once.

    Parameters
    ----------
    features : float32 [N, D]
    most_neighbours : int
        The largest neighbour count that will be asked for among all rows.
    """

    def __init__(self, features: Floats, most_neighbours: int) -> None:
        self.features = features
        self._most = most_neighbours

    @cached_property
    def identity(self) -> Any:
        """The rows as imbalanced-learn sees them: a sparse identity matrix [N, N]."""
        from scipy.sparse import csr_array, eye_array

        return csr_array(eye_array(len(self.features), dtype=np.float64))

    @cached_property
    def graph(self) -> Labels:
        """Positions of each row's nearest rows, itself first, int64 [N, most_neighbours + 1]."""
        search = BlasNeighbours(self._most + 1).fit(self.features)
        return np.asarray(search.kneighbors(return_distance=False))

    def neighbours(self, number: int) -> OneHotNeighbours:
        """Give the search for `number` neighbours of a row beside itself."""
        return OneHotNeighbours(self, number + 1)

    def features_of(self, weights: Any) -> Floats:
        """Give the features [M, D] of weighted rows, a sparse matrix [M, N]."""
        return np.asarray(weights.astype(np.float32) @ self.features, np.float32)


class OneHotNeighbours:
    """Neighbours of one-hot rows by their features; the interface that imbalanced-learn asks for.

    Asked for more neighbours than there are rows it gives all of them (scikit-learn raises an error), which lowers the
    neighbour count for just the classes that are too small for it.

    Parameters
    ----------
    rows : OneHotRows
    n_neighbors : int
        Neighbours to give, the row itself included.
    """

    def __init__(self, rows: OneHotRows, n_neighbors: int) -> None:
        self.rows = rows
        self.n_neighbors = n_neighbors

    def __sklearn_clone__(self) -> OneHotNeighbours:
        """Give itself: there is no state worth resetting."""
        return self

    def fit(self, X: Any, y: Labels | None = None) -> OneHotNeighbours:
        """Search among these one-hot rows."""
        del y
        self._pool = X.indices
        return self

    def kneighbors(self, X: Any, return_distance: bool = True) -> Any:
        """Give distances and positions [Q, K] of the nearest rows of the pool, nearest first."""
        if len(self._pool) == len(self.rows.features) and not return_distance:
            return self.rows.graph[X.indices, : self.n_neighbors]
        search = BlasNeighbours(self.n_neighbors).fit(self.rows.features[self._pool])
        return search.kneighbors(self.rows.features[X.indices], return_distance=return_distance)

    def kneighbors_graph(self, X: Any) -> Any:
        """Give the neighbours as a sparse matrix of ones, [Q, rows of the pool]."""
        search = BlasNeighbours(self.n_neighbors).fit(self.rows.features[self._pool])
        return search.kneighbors_graph(self.rows.features[X.indices])


class OneHotSvc:
    """scikit-learn's ``SVC(kernel="rbf", gamma="scale")`` on the features of one-hot rows.

    Its kernel comes from one matrix product. A second `fit` with the same rows and labels returns at once.

    Parameters
    ----------
    rows : OneHotRows
    """

    def __init__(self, rows: OneHotRows) -> None:
        self.rows = rows
        self._fitted: tuple[Any, Any] | None = None

    def __sklearn_clone__(self) -> OneHotSvc:
        """Give itself, so that a sampler's clone finds the fit that is already there."""
        return self

    def fit(self, X: Any, y: Labels) -> OneHotSvc:
        """Find the support vectors of one-hot rows [N, N] with labels [N]; `support_` holds their positions."""
        from sklearn.svm import SVC

        if self._fitted is not None and all(map(np.array_equal, self._fitted, (X.indices, y))):
            return self
        self._fitted = (X.indices.copy(), y.copy())
        features = self.rows.features[X.indices]
        variance = float(features.var(dtype=np.float64))
        self._gamma = 1.0 / (features.shape[1] * variance) if variance > 0 else 1.0
        self._mean = features.mean(axis=0, dtype=np.float64).astype(np.float32)
        self._fitted_rows = features - self._mean
        self._svc = SVC(kernel="precomputed").fit(self._kernel(X), y)
        self.support_: Labels = self._svc.support_
        return self

    def predict(self, X: Any) -> Labels:
        """Give the label [Q] of one-hot rows."""
        return np.asarray(self._svc.predict(self._kernel(X)))

    def _kernel(self, X: Any) -> npt.NDArray[np.float64]:
        """Give exp(-gamma * squared distance) to the fitted rows, [Q, N]."""
        left, right = self.rows.features[X.indices] - self._mean, self._fitted_rows
        kernel = (left @ right.T).astype(np.float64)
        kernel *= -2
        kernel += np.einsum("nd,nd->n", left, left)[:, None]
        kernel += np.einsum("nd,nd->n", right, right)
        np.maximum(kernel, 0, out=kernel)
        kernel *= -self._gamma
        return np.asarray(np.exp(kernel, out=kernel))
