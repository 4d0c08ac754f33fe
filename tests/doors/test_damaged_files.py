"""Whatever is read back as truth is as it was written, or is refused in a sentence or made again with a warning.

Each case writes the file with the real component, damages it, and asks for it again. What comes back must be equal to
what was written; and where the damage was noticed, somebody was told.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from damage import KINDS, injure

from wellai_exp.benchmark import Latency, LatencyBook
from wellai_exp.benchmark import _latency as latency_module
from wellai_exp.benchmark._machine import machine
from wellai_exp.cleaning import Files, Limits, LookStore
from wellai_exp.data import ImageFolder, Manifest, PixelStore, keep_manifest, manifests_folder
from wellai_exp.data._feature_store import FeatureStore
from wellai_exp.data._index import index_files
from wellai_exp.errors import SettingError, WellaiError
from wellai_exp.evaluation import Evaluation, load_evaluation, save_evaluation
from wellai_exp.export import Keras
from wellai_exp.models import SmallConvNet
from wellai_exp.paths import sha256_of
from wellai_exp.tracking import Registry, Tracker, load
from wellai_exp.tracking._reference import read_reference
from wellai_exp.training._checkpoint import Checkpoint, EpochRecord, Standing
from wellai_exp.training._trained import TrainedBackbone

SEEDS = range(6)


@dataclass(frozen=True)
class Case:
    """A kind of file.

    Parameters
    ----------
    write : callable
        Writes one below a folder, of the content that a number stands for, and gives its path.
    read : callable
        Reads it as the program does; gives something to be compared, or raises.
    rebuilt : bool
        Whether it can be made again from what is still there; else it is refused.
    """

    write: Callable[[Path, int], Path]
    read: Callable[[Path, int], object]
    rebuilt: bool = True


def rows_of(content: int) -> Callable[[Sequence[int]], Iterator[Any]]:
    def compute(rows: Sequence[int]) -> Iterator[Any]:
        yield np.array([[content * 100 + row + 0.5] * 4 for row in rows], np.float32)

    return compute


def features(folder: Path, content: int) -> Any:
    store = FeatureStore(folder / "features", progress=False)
    keys = [f"{image:064d}" for image in range(6)]
    return store.get(f"space{content}", keys, rows_of(content), 4, "toy").gather(np.arange(6)).tolist()


def shard(folder: Path, content: int, suffix: str) -> Path:
    features(folder, content)
    return folder / "features" / f"space{content}" / f"000000{suffix}"


def pictures(folder: Path, content: int) -> Path:
    root = folder / f"photos{content}"
    for row in range(4):
        pixels = np.random.default_rng([content, row]).integers(0, 255, (24, 24, 3), dtype=np.uint8)
        (root / f"pose {row % 2}").mkdir(parents=True, exist_ok=True)
        file = root / f"pose {row % 2}" / f"{row}.png"
        if not file.exists():
            file.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    return root


def pixels(folder: Path, content: int) -> Any:
    files = sorted(pictures(folder, content).glob("*/*.png"))
    # Another size is another space, in which the same pictures have other pixels.
    size = 32 + content
    return PixelStore(folder / "pixels", progress=False).get(files, [sha256_of(f) for f in files], size, "stretch")


def write_pixels(folder: Path, content: int) -> Path:
    pixels(folder, content)
    return folder / "pixels" / f"pixels-{32 + content}-stretch" / "000000.npy"


def index(folder: Path, content: int) -> Any:
    root = pictures(folder, content)
    names = sorted(file.relative_to(root).as_posix() for file in root.glob("*/*.png"))
    found = index_files(root, names, folder / "store")
    return found.sha256, found.hashes.tolist(), found.width.tolist(), found.reason


def write_index(folder: Path, content: int) -> Path:
    before = set((folder / "store" / "index").glob("*"))
    index(folder, content)
    (made,) = set((folder / "store" / "index").glob("*")) - before
    return made


def standing(content: int) -> Standing:
    records = tuple(EpochRecord(e + 1, 3, {"accuracy": 0.5 + content / 9}, 1.0, 0.1, 9.0, 1.0, 32) for e in range(3))
    arrays = [np.full((40, 3), content + 0.25, np.float32), np.arange(9.0)]
    return Standing(arrays, records, 2, [np.full(50, content, np.float32)], weights=f"{content:064x}")


def checkpoint(folder: Path, content: int) -> Path:
    Checkpoint(folder / f"training{content}").save(standing(content))
    return folder / f"training{content}"


def read_checkpoint(folder: Path, content: int) -> object:
    found = Checkpoint(folder / f"training{content}").load()
    # None: the training begins anew, which gives the same; that it is said is checked with all others.
    return plain(standing(content)) if found is None else plain(found)


def plain(found: Standing) -> object:
    return [each.tolist() for each in (*found.arrays, *found.chosen)], found.records, found.best, found.weights


def latency(folder: Path, content: int) -> object:
    book = LatencyBook(folder / "benchmarks", frames=1, warm_up=0, seconds=0.0)
    known = Latency(1.0 + content, 2.0 + content, 3.0, "keras", 1, machine())
    with pytest.MonkeyPatch.context() as patch:
        # The measurement itself would differ each time; what is under test is the file.
        patch.setattr(latency_module, "measure", lambda *_args, **_options: known)
        return book.of_model(f"{content:064x}", lambda: None, Keras())


def write_latency(folder: Path, content: int) -> Path:
    before = set((folder / "benchmarks").glob("*.json"))
    latency(folder, content)
    (made,) = set((folder / "benchmarks").glob("*.json")) - before
    return made


def manifest(folder: Path, content: int) -> Manifest:
    import pandas as pd

    n = 8
    frame = pd.DataFrame(
        {
            "path": [f"{content}/{row}.png" for row in range(n)],
            "label": ["a", "b"] * (n // 2),
            "split": ["train"] * 6 + ["test"] * 2,
            "fold": [0, 1] * 3 + [-1] * 2,
            "group": range(n),
            "twin": range(n),
            "sha256": [f"{content:032d}{row:032d}" for row in range(n)],
            "hash": ["0" * 32 + "f" * 32] * n,
            "width": 24,
            "height": 24,
            "bytes": 900 + content,
        }
    )
    return Manifest(frame, folder, ("a", "b"), f"set{content}", notes=("a note",))


def write_manifest(folder: Path, content: int) -> Path:
    kept = keep_manifest(manifest(folder, content), folder)
    return manifests_folder(folder) / kept.digest / "manifest.parquet"


def read_manifest(folder: Path, content: int) -> object:
    digest = manifest(folder, content).digest
    found = Manifest.load(manifests_folder(folder) / digest, digest)
    return found.frame.to_dict(), str(found.root), found.name, found.parent, found.notes


def evaluation(content: int) -> Evaluation:
    rng = np.random.default_rng(content)
    drawn = rng.random((20, 3)) + 1e-3
    return Evaluation(
        np.arange(20) % 3,
        drawn / drawn.sum(axis=1, keepdims=True),
        ("crane", "tree", "warrior"),
        groups=np.arange(20),
        paths=tuple(f"{row}.png" for row in range(20)),
        sha256=tuple(f"{row:064d}" for row in range(20)),
    )


def write_predictions(folder: Path, content: int) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"predictions{content}.parquet"
    save_evaluation(evaluation(content), path)
    return path


def read_predictions(folder: Path, content: int) -> object:
    found = load_evaluation(folder / f"predictions{content}.parquet")
    return found.probabilities.tolist(), found.labels.tolist(), found.paths, found.sha256, found.class_names


def looks(folder: Path, content: int) -> Any:
    root = pictures(folder, content)
    files = Files.gather([(root, ImageFolder(root).listing())])
    return LookStore(folder / f"looks{content}").look_at(files, Limits(workers=1))


def write_looks(folder: Path, content: int) -> Path:
    looks(folder, content)
    (database,) = (folder / f"looks{content}").glob("*.db")
    return database


def read_looks(folder: Path, content: int) -> object:
    found = looks(folder, content)
    facts = found.frame.to_csv(), found.hashes.tolist()
    return *facts, found.smalls([0, 1]).tolist(), [each.tolist() for each in found.thumbnails([0, 1])]


CASES: dict[str, Case] = {
    "features": Case(lambda folder, content: shard(folder, content, ".npy"), features),
    "feature sidecar": Case(lambda folder, content: shard(folder, content, ".json"), features),
    "pixels": Case(write_pixels, lambda folder, content: pixels(folder, content).gather(np.arange(4)).tolist()),
    "index": Case(write_index, index),
    "checkpoint": Case(lambda folder, content: checkpoint(folder, content) / "epoch-0003.npz", read_checkpoint),
    "checkpoint card": Case(lambda folder, content: checkpoint(folder, content) / "checkpoint.json", read_checkpoint),
    "latency": Case(write_latency, latency),
    "manifest": Case(write_manifest, read_manifest, rebuilt=False),
    "predictions": Case(write_predictions, read_predictions, rebuilt=False),
}


def examine(case: Case, folder: Path, kind: str, seed: int, caplog: pytest.LogCaptureFixture) -> str:
    """Write, damage, read; gives what became of the damage."""
    file = case.write(folder, 0)
    other = case.write(folder, 1)
    expected = case.read(folder, 0)
    # The hash that was found a moment ago is remembered with the file's time; damage on a disk leaves no other.
    os.utime(file, ns=(10**18 + seed, 10**18 + seed))
    if not injure(file, kind, seed, [other]):
        return "unchanged"
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        try:
            found = case.read(folder, 0)
        except WellaiError as refused:
            assert not case.rebuilt, refused
            assert str(file) in str(refused)
            return "refused"
    assert found == expected
    return "rebuilt" if caplog.records else "harmless"


# Another run's predictions are whole: the run knows the hash of its own (tests/promotion/test_gather.py).
PAIRS = [(name, kind) for name in CASES for kind in KINDS if (name, kind) != ("predictions", "swap")]


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_no_damage_is_believed(
    name: str, kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, injected: Callable[..., None]
) -> None:
    ends = [examine(CASES[name], tmp_path / str(seed), kind, seed, caplog) for seed in SEEDS]
    assert ends.count("unchanged") == 0
    noticed = "rebuilt" if CASES[name].rebuilt else "refused"
    assert set(ends) <= {noticed, "harmless"}
    # What replaces the whole content cannot be harmless; a single bit may be one that nobody reads.
    assert kind in ("flip", "zero") or ends.count(noticed) == len(ends)
    injected("damaged caches, checkpoints and tables", len(ends))


@pytest.mark.parametrize("kind", ["flip", "truncate", "zero"])
def test_no_damaged_look_is_believed(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, injected: Callable[..., None]
) -> None:
    """A database: what is wrong in it is refused, looked at again, or was in a page that nobody reads."""
    whole = write_looks(tmp_path, 0)
    expected, kept = read_looks(tmp_path, 0), tmp_path / "kept.db"
    shutil.copyfile(whole, kept)
    for seed in range(10):
        for file in whole.parent.glob("*.db*"):
            file.unlink()
        shutil.copyfile(kept, whole)
        injure(whole, kind, seed, [])
        try:
            assert read_looks(tmp_path, 0) == expected
        except WellaiError as refused:
            assert str(whole) in str(refused)
    injected("damaged caches, checkpoints and tables", 10)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str], Registry]:
    """A logged model's folder, its pins, and the registry of its store."""
    import keras
    from tracking_stores import tracking_in

    tracker = Tracker(tracking_in(tmp_path_factory.mktemp("models")))
    network = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
    with tracker.run("train") as run:
        uri = tracker.log_model(run, network, class_names=["a", "b"], size=8)
    registry = Registry(tracker.tracking)
    folder = registry.resolve(uri).path.parent.parent
    return folder, {name: sha256_of(folder / file) for name, file in PINNED.items()}, registry


PINNED = {"sha256": "data/model.keras", "labels_sha256": "labels.json"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("file", PINNED.values())
def test_no_damaged_model_is_loaded(
    file: str, kind: str, model: tuple[Path, dict[str, str], Registry], tmp_path: Path, injected: Callable[..., None]
) -> None:
    folder, pins, registry = model
    other = tmp_path / "other"
    other.write_bytes((folder / file).read_bytes() + b" ")
    for seed in SEEDS:
        copy = tmp_path / str(seed)
        shutil.copytree(folder, copy)
        assert injure(copy / file, kind, seed, [other])
        with pytest.raises(WellaiError, match="was changed after it was kept"):
            read_reference(copy, pins, "demo")
        if kind != "swap":
            # By its own name there is no database to ask: the labels beside it are sealed, and hold its hash.
            with pytest.raises(WellaiError, match=r"was changed after it was kept|as they were written"):
                load(registry.resolve(str(copy / "data" / "model.keras")))
    injected("damaged models and weights", len(SEEDS))


@pytest.mark.parametrize("kind", KINDS)
def test_no_damaged_weights_are_loaded(kind: str, tmp_path: Path, injected: Callable[..., None]) -> None:
    network = SmallConvNet(size=32, width=4)
    built = network.build()
    whole, other = tmp_path / "whole.weights.h5", tmp_path / "other.weights.h5"
    built.save_weights(whole)
    built.set_weights([weight + 1 for weight in built.get_weights()])
    built.save_weights(other)
    pin = sha256_of(whole)
    for seed in SEEDS:
        file = tmp_path / f"{seed}.weights.h5"
        shutil.copyfile(whole, file)
        assert injure(file, kind, seed, [other])
        with pytest.raises(WellaiError, match="is not as the training wrote it"):
            TrainedBackbone(network, file, pin).build()
    injected("damaged models and weights", len(SEEDS))


@pytest.mark.parametrize("kind", KINDS)
def test_no_damaged_file_passes_for_pinned_weights(kind: str, tmp_path: Path, injected: Callable[..., None]) -> None:
    from wellai_exp.models._weights import check_file

    whole, other = tmp_path / "whole.h5", tmp_path / "other.h5"
    whole.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(range(256)) * 8)
    other.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(range(255, -1, -1)) * 8)
    pin = sha256_of(whole)
    for seed in SEEDS:
        file = tmp_path / f"{seed}.h5"
        shutil.copyfile(whole, file)
        assert injure(file, kind, seed, [other])
        with pytest.raises(SettingError, match=r"^backbone\.weights="):
            check_file(file, pin)
    injected("damaged models and weights", len(SEEDS))
