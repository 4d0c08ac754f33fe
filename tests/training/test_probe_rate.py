"""What the benchmarks of a probe measure, and that they leave nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from wellai_exp.data import Demo, Split, build_manifest
from wellai_exp.models import SmallConvNet
from wellai_exp.runtime import prepare_tensorflow
from wellai_exp.training import Shared, measure_extraction, measure_solver


def test_extraction_is_timed_beside_the_bare_network_and_leaves_nothing(tmp_path: Path) -> None:
    prepare_tensorflow()
    source = Demo(root=tmp_path / "images", n_images=90, ratio=3.0, size=32, name="drawn")
    manifest = build_manifest(source, Split(folds=3, near_duplicates=False), tmp_path / "data")
    store = tmp_path / "store"
    store.mkdir()
    rates = measure_extraction(Shared(manifest, store, seed=0), SmallConvNet(size=32, width=8), "stretch", rounds=1)
    assert rates.share == pytest.approx(rates.extraction / rates.forward)
    assert 1 in rates.decoding
    assert min(rates.forward, rates.extraction, *rates.decoding.values()) > 0
    assert list(store.iterdir()) == []


def test_the_solver_is_timed_beside_its_matrix_products() -> None:
    prepare_tensorflow()
    rate = measure_solver(3, 60, 8, 3, seed=0, rounds=1)
    # Two products a step, each a multiplication and an addition for every row that a fold trains on, feature and class.
    steps, folds, trained_on = 60, 3, 40
    assert rate.operations == 2 * 2 * steps * (folds * trained_on * 8 * 3)
    assert rate.ratio == pytest.approx(rate.seconds * rate.matrix_rate / rate.operations)
    # So small a problem is nowhere near the limit: what surrounds the products counts as well.
    assert rate.ratio > 1
