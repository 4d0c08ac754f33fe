from __future__ import annotations

from collections.abc import Callable

import pytest

from wellai_exp.data import Demo, Split, build_manifest
from wellai_exp.runtime import prepare_tensorflow
from wellai_exp.training import Shared


@pytest.fixture(scope="module")
def make_shared(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Shared]:
    """Give the same drawn figures with a store of their own each time."""
    prepare_tensorflow()
    root = tmp_path_factory.mktemp("drawn")
    source = Demo(root=root / "images", n_images=120, ratio=3.0, size=32, name="drawn")
    manifest = build_manifest(source, Split(folds=3, near_duplicates=False), root / "store")
    return lambda: Shared(manifest, tmp_path_factory.mktemp("store"), seed=0)
