"""The fast neighbours and support vectors are those of scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.neighbors import NearestNeighbors
from sklearn.svm import SVC

from wellai_exp.imbalance._blas import BlasNeighbours
from wellai_exp.imbalance._one_hot import OneHotRows, OneHotSvc


@pytest.mark.parametrize("number", [1, 4, 11, 40])
@pytest.mark.parametrize("shift", [0.0, 300.0])
def test_neighbours_are_scikit_learns(number: int, shift: float) -> None:
    rows = (np.random.default_rng(0).normal(size=(1500, 24)) + shift).astype(np.float32)
    ours = BlasNeighbours(number).fit(rows)
    distances, positions = ours.kneighbors(rows[:1200])
    expected_distances, expected = (
        NearestNeighbors(n_neighbors=number).fit(rows.astype(np.float64)).kneighbors(rows[:1200].astype(np.float64))
    )
    assert (positions == expected).mean() > 0.999
    np.testing.assert_array_equal(positions[:, 0], np.arange(1200))
    np.testing.assert_allclose(distances, expected_distances, atol=2e-3)


def test_graph_is_scikit_learns() -> None:
    rows = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    for mode in ("connectivity", "distance"):
        ours = BlasNeighbours(4).fit(rows).kneighbors_graph(rows[:9], mode=mode)
        reference = NearestNeighbors(n_neighbors=4).fit(rows).kneighbors_graph(rows[:9], mode=mode)
        np.testing.assert_allclose(ours.toarray(), reference.toarray(), atol=1e-5)


def test_too_few_rows_give_all_of_them() -> None:
    rows = np.eye(3, dtype=np.float32)
    positions = BlasNeighbours(6).fit(rows).kneighbors(rows, return_distance=False)
    assert np.sort(positions, axis=1).tolist() == [[0, 1, 2]] * 3


def test_new_rows_replace_old_ones() -> None:
    search = BlasNeighbours(1).fit(np.zeros((5, 2), np.float32))
    rows = np.array([[9, 9], [0, 1]], np.float32)
    assert search.fit(rows).kneighbors(rows, return_distance=False).tolist() == [[0], [1]]


def test_one_hot_rows_find_the_neighbours_of_their_features() -> None:
    features = np.random.default_rng(0).normal(size=(60, 9)).astype(np.float32)
    rows = OneHotRows(features, most_neighbours=7)
    for pool in (np.arange(60), np.arange(10, 30), np.arange(40, 43)):
        for number in (2, 7):
            query = rows.identity[pool[:3]]
            ours = rows.neighbours(number).fit(rows.identity[pool]).kneighbors(query, return_distance=False)
            reference = NearestNeighbors(n_neighbors=min(number + 1, pool.size)).fit(features[pool])
            np.testing.assert_array_equal(ours, reference.kneighbors(features[pool[:3]], return_distance=False))
    graph = rows.neighbours(3).fit(rows.identity).kneighbors_graph(rows.identity)
    expected = NearestNeighbors(n_neighbors=4).fit(features).kneighbors_graph(features)
    np.testing.assert_array_equal(graph.toarray(), expected.toarray())


def test_weights_become_features() -> None:
    features = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    rows = OneHotRows(features, 1)
    mixed = 0.25 * rows.identity[[0]] + 0.75 * rows.identity[[4]]
    np.testing.assert_allclose(rows.features_of(mixed), [0.25 * features[0] + 0.75 * features[4]], rtol=1e-6)


def test_support_vectors_are_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), [60, 40, 20, 10])
    features = (3 * rng.normal(size=(4, 8))[labels] + rng.normal(size=(130, 8)) + 5).astype(np.float32)
    reference = SVC(gamma="scale").fit(features, labels)
    rows = OneHotRows(features, 1)
    ours = OneHotSvc(rows)
    assert clone(ours) is ours
    ours.fit(rows.identity, labels)
    assert 0 < len(ours.support_) < 130
    np.testing.assert_array_equal(ours.support_, reference.support_)
    np.testing.assert_array_equal(ours.predict(rows.identity), reference.predict(features))
    fitted = ours.support_
    assert ours.fit(rows.identity, labels).support_ is fitted
    assert not np.array_equal(ours.fit(rows.identity, labels[::-1].copy()).support_, fitted)
