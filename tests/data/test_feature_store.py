"""The feature store: exact, computed once, and whole again after every kind of damage."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wellai_exp.data import _feature_shard
from wellai_exp.data._feature_store import FeatureStore, FeatureTable
from wellai_exp.errors import DataError, SettingError, StoreError
from wellai_exp.paths import sealed, sha256_of, unsealed

Array = npt.NDArray[np.float32]
DIM = 5
SPACE = "0123abcd"


def key_of(image: int) -> str:
    return hashlib.sha256(str(image).encode()).hexdigest()


def features_of(keys: Sequence[str], dim: int = DIM) -> Array:
    """What the store must give: a function of each key alone."""
    rows = [np.random.default_rng(int(key[:16], 16)).normal(size=dim) for key in keys]
    return np.array(rows, np.float32).reshape(-1, dim)


class Backbone:
    """Computes features and notes for which keys."""

    def __init__(self, keys: Sequence[str], batch: int = 3) -> None:
        self.keys = list(keys)
        self.batch = batch
        self.computed: list[str] = []

    def __call__(self, rows: Sequence[int]) -> Iterator[Array]:
        for start in range(0, len(rows), self.batch):
            part = [self.keys[row] for row in rows[start : start + self.batch]]
            self.computed += part
            yield features_of(part)


def store_at(root: Path, shard_rows: int = 4) -> FeatureStore:
    return FeatureStore(root, shard_rows=shard_rows, progress=False)


def ask(root: Path, images: Sequence[int], **options: Any) -> tuple[FeatureTable, Backbone]:
    keys = [key_of(image) for image in images]
    backbone = Backbone(keys)
    table = store_at(root).get(SPACE, keys, backbone, DIM, "toy backbone", **options)
    np.testing.assert_array_equal(table.gather(np.arange(len(keys))), features_of(keys))
    assert table.computed == len(backbone.computed)
    return table, backbone


def test_features_are_exact_and_computed_once(tmp_path: Path) -> None:
    table, backbone = ask(tmp_path, range(23))
    assert backbone.computed == [key_of(image) for image in range(23)]
    assert (len(table), table.dim, table.computed) == (23, DIM, 23)
    assert table.seconds > 0
    again, idle = ask(tmp_path, range(23))
    assert idle.computed == []
    assert (again.computed, again.seconds) == (0, 0.0)


def test_order_subset_and_repeats(tmp_path: Path) -> None:
    ask(tmp_path, range(10))
    _, backbone = ask(tmp_path, [7, 2, 2, 9, 0, 7])
    assert backbone.computed == []


def test_a_grown_data_set_computes_only_what_is_new(tmp_path: Path) -> None:
    ask(tmp_path, range(10))
    _, backbone = ask(tmp_path, [12, *range(10), 11])
    assert backbone.computed == [key_of(12), key_of(11)]


def test_an_image_that_comes_twice_is_computed_once(tmp_path: Path) -> None:
    _, backbone = ask(tmp_path, [1, 2, 1, 1, 3, 2])
    assert backbone.computed == [key_of(image) for image in (1, 2, 3)]


def test_spaces_do_not_mix(tmp_path: Path) -> None:
    ask(tmp_path, range(4))
    keys = [key_of(image) for image in range(4)]
    other = store_at(tmp_path).get("other", keys, lambda rows: iter([np.zeros((len(rows), 2), np.float32)]), 2, "other")
    assert other.computed == 4
    np.testing.assert_array_equal(other.gather([0, 3]), np.zeros((2, 2)))
    for name in ("", "..", "a/b", ".hidden"):
        with pytest.raises(ValueError, match="no name for a folder"):
            store_at(tmp_path).get(name, [], lambda rows: iter([]), 2, "x")


def test_numbers_keep_the_type_asked_for(tmp_path: Path) -> None:
    keys = [key_of(image) for image in range(6)]
    pixels = np.arange(30, dtype=np.uint8).reshape(6, DIM)
    store = store_at(tmp_path)
    for computed in (6, 0):
        table = store.get("pixels", keys, lambda rows: iter([pixels[list(rows)]]), DIM, "toy", dtype=np.uint8)
        assert table.computed == computed
        assert table.gather([]).dtype == np.uint8
        got = table.gather([4, 1])
        assert got.dtype == np.uint8
        np.testing.assert_array_equal(got, pixels[[4, 1]])
    assert (tmp_path / "pixels" / "000000.npy").stat().st_size == 128 + 4 * DIM
    with pytest.raises(TypeError, match="same_kind"):
        store.get("rounded", keys, Backbone(keys), DIM, "toy", dtype=np.uint8)


def test_gather_takes_rows_in_any_order(tmp_path: Path) -> None:
    table, _ = ask(tmp_path, range(23))
    expected = features_of([key_of(image) for image in range(23)])
    rows = np.random.default_rng(0).integers(0, 23, 100)
    got = table.gather(rows)
    np.testing.assert_array_equal(got, expected[rows])
    assert got.dtype == np.float32
    got[:] = 0  # a copy: the file stays as it is
    np.testing.assert_array_equal(table.gather(rows.tolist()), expected[rows])
    assert table.gather([]).shape == (0, DIM)
    for wrong in ([23], [-24], np.ones(23, bool), [0.0], [[1, 2]]):
        with pytest.raises(IndexError):
            table.gather(wrong)


def test_nothing_asked_touches_nothing(tmp_path: Path) -> None:
    table, _ = ask(tmp_path / "absent", [])
    assert len(table) == 0
    assert table.gather([]).shape == (0, DIM)
    assert not (tmp_path / "absent").exists()


def flip_bit(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 4
    path.write_bytes(data)


def other_shape(path: Path) -> None:
    """A whole and rightly signed array of another shape, as only a mistake of ours could write."""
    np.save(path, np.zeros((2, DIM), np.float32))
    sidecar = path.with_suffix(".json")
    body = json.loads(sidecar.read_text())
    del body["seal"]
    body["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    sidecar.write_text(json.dumps(sealed(body)))


def old_sidecar(path: Path) -> None:
    path.with_suffix(".json").write_text(json.dumps(sealed({"space": path.parent.name, "dim": DIM})))


def of_another_space(path: Path) -> None:
    """A whole shard of other features for the same images, at the wrong place."""
    elsewhere = path.parent.with_name("another")
    body = unsealed(json.loads(path.with_suffix(".json").read_text()))
    _feature_shard.write_shard(elsewhere / path.name, body["keys"], np.zeros((len(body["keys"]), DIM), np.float32), "x")
    for suffix in (".npy", ".json"):
        (elsewhere / path.name).with_suffix(suffix).replace(path.with_suffix(suffix))


DAMAGE: dict[str, Callable[[Path], object]] = {
    "bit flip in the features": lambda path: flip_bit(path, -7),
    "bit flip in the header": lambda path: flip_bit(path, 20),
    "truncated": lambda path: os.truncate(path, path.stat().st_size - 1),
    "empty": lambda path: os.truncate(path, 0),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "gone": Path.unlink,
    "other shape": other_shape,
    "of another space": of_another_space,
    "sidecar gone": lambda path: path.with_suffix(".json").unlink(),
    "sidecar flipped": lambda path: flip_bit(path.with_suffix(".json"), -150),
    "sidecar truncated": lambda path: os.truncate(path.with_suffix(".json"), 30),
    "sidecar empty": lambda path: os.truncate(path.with_suffix(".json"), 0),
    "sidecar zeros": lambda path: path.with_suffix(".json").write_bytes(bytes(300)),
    "sidecar of another form": lambda path: path.with_suffix(".json").write_text("[]"),
    "sidecar of another version": old_sidecar,
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
@pytest.mark.parametrize("settled", [False, True], ids=["fresh", "settled"])
def test_damage_is_noticed_and_rebuilt(
    damage: Callable[[Path], object], settled: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ask(tmp_path, range(12))
    shard = tmp_path / SPACE / "000001.npy"
    if settled:  # so that the hashes found now are remembered
        for path in shard.parent.glob("0*.npy"):
            os.utime(path, ns=(10**18, 10**18))
        ask(tmp_path, range(12))
    damage(shard)
    with caplog.at_level(logging.WARNING):
        _, backbone = ask(tmp_path, range(12))
    assert backbone.computed == [key_of(image) for image in range(4, 8)]
    assert [record.getMessage() for record in caplog.records if "000001.npy are damaged (" in record.getMessage()]
    assert not shard.exists()
    caplog.clear()
    _, idle = ask(tmp_path, range(12))
    assert idle.computed == []
    assert not caplog.records


def test_a_file_is_hashed_once_in_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ask(tmp_path, range(12))
    for path in (tmp_path / SPACE).glob("0*.npy"):
        os.utime(path, ns=(10**18, 10**18))
    hashed: list[str] = []
    real = sha256_of

    def counted(path: Path) -> str:
        hashed.append(path.name)
        return real(path)

    monkeypatch.setattr(_feature_shard, "sha256_of", counted)
    ask(tmp_path, range(5))
    assert hashed == ["000000.npy", "000001.npy"]  # the third holds nothing that was asked for
    ask(tmp_path, range(12))
    ask(tmp_path, range(12))
    assert hashed == ["000000.npy", "000001.npy", "000002.npy"]


def test_what_is_out_of_reach_is_not_thrown_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ask(tmp_path, range(4))

    def refused(path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(_feature_shard, "sha256_of", refused)
    with pytest.raises(StoreError, match=r"000000\.npy cannot be read \(Permission denied\)"):
        ask(tmp_path, range(4))
    monkeypatch.undo()
    _, idle = ask(tmp_path, range(4))
    assert idle.computed == []


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, DataError])
def test_an_interruption_keeps_what_is_computed(error: type[BaseException], tmp_path: Path) -> None:
    keys = [key_of(image) for image in range(20)]

    def breaks_off(rows: Sequence[int]) -> Iterator[Array]:
        for batch, features in enumerate(Backbone(keys)(rows)):
            if batch == 3:
                raise error("stopped")
            yield features

    with pytest.raises(error, match="stopped"):
        store_at(tmp_path).get(SPACE, keys, breaks_off, DIM, "toy")
    _, backbone = ask(tmp_path, range(20))
    assert backbone.computed == keys[9:]


KILLED = """
import sys, time
import numpy as np
from pathlib import Path
from wellai_exp.data._feature_store import FeatureStore
def compute(rows):
    for row in rows:
        time.sleep(0.02)
        with open(sys.argv[2], "a") as log:
            log.write(f"{row}\\n")
        yield np.full((1, 3), row, np.float32)
keys = [f"{row:064d}" for row in range(int(sys.argv[3]))]
store = FeatureStore(Path(sys.argv[1]), shard_rows=10, progress=False)
table = store.get("s", keys, compute, 3, "toy")
assert (table.gather(np.arange(len(keys)))[:, 1] == np.arange(len(keys))).all()
print(table.computed)
"""


def start(root: Path, log: Path, rows: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", KILLED, str(root), str(log), str(rows)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_a_killed_extraction_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = start(tmp_path, log, 1000)
    deadline = time.monotonic() + 60
    while not (tmp_path / "s" / "000001.json").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (tmp_path / "s" / ".000007.1.npy").write_bytes(b"half")
    kept = 10 * len(list((tmp_path / "s").glob("0*.json")))
    done = start(tmp_path, tmp_path / "log2", kept + 5).communicate()[0]
    assert int(done) == 5
    assert not (tmp_path / "s" / ".000007.1.npy").exists()


def test_two_processes_compute_each_row_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    processes = [start(tmp_path, log, rows) for rows in (40, 45)]
    computed = [int(process.communicate(timeout=60)[0]) for process in processes]
    assert sorted(int(row) for row in log.read_text().split()) == list(range(45))
    assert sum(computed) == 45


def test_another_width_is_refused(tmp_path: Path) -> None:
    assert store_at(tmp_path).known_dim(SPACE) is None
    ask(tmp_path, range(4))
    assert store_at(tmp_path).known_dim(SPACE) == DIM
    with pytest.raises(StoreError, match=r"0123abcd holds 5 numbers .* but 6 are asked for .*; remove that folder"):
        store_at(tmp_path).get(SPACE, [key_of(99)], lambda rows: iter([]), 6, "other")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_features_that_are_not_finite_are_refused(value: float, tmp_path: Path) -> None:
    keys = [key_of(image) for image in range(6)]

    def broken(rows: Sequence[int]) -> Iterator[Array]:
        features = features_of(keys)
        features[4, 2] = value
        yield features[:3]
        yield features[3:]

    paths = [f"asana/{row}.jpg" for row in range(6)]
    with pytest.raises(DataError, match=r"toy backbone gives .* the image asana/4\.jpg; "):
        store_at(tmp_path).get(SPACE, keys, broken, DIM, "toy backbone", names=paths)
    assert not list((tmp_path / SPACE).glob("0*"))
    with pytest.raises(DataError, match=keys[4]):
        store_at(tmp_path).get(SPACE, keys, broken, DIM, "toy backbone")


@pytest.mark.parametrize(
    "batches",
    [[(3, DIM)], [(5, DIM)], [(3, DIM), (2, DIM)], [(4, DIM + 1)], [(4,)], []],
    ids=["few", "many", "many at last", "wide", "flat", "none"],
)
def test_a_backbone_that_gives_something_else_is_refused(batches: list[tuple[int, ...]], tmp_path: Path) -> None:
    closed: list[bool] = []

    def wrong(rows: Sequence[int]) -> Iterator[Array]:
        try:
            for shape in batches:
                yield np.zeros(shape, np.float32)
        finally:
            closed.append(True)

    store = store_at(tmp_path, shard_rows=100)
    with pytest.raises(ValueError, match="compute gave"):
        store.get(SPACE, [key_of(image) for image in range(4)], wrong, DIM, "toy")
    assert closed == [True]
    assert not list((tmp_path / SPACE).glob("0*"))


def test_shards_are_bounded_in_rows_and_in_time(tmp_path: Path) -> None:
    keys = [key_of(image) for image in range(10)]
    FeatureStore(tmp_path, shard_rows=4, progress=False).get("rows", keys, Backbone(keys, 7), DIM, "toy")
    assert [len(shard.keys) for shard in _feature_shard.scan(tmp_path / "rows")[0]] == [4, 4, 2]
    hasty = FeatureStore(tmp_path, flush_seconds=0.0, progress=False)
    hasty.get("time", keys, Backbone(keys, 3), DIM, "toy")
    assert [len(shard.keys) for shard in _feature_shard.scan(tmp_path / "time")[0]] == [3, 3, 3, 1]
    wide = np.zeros((3, 2**23), np.float32)  # 32 MB a row, so two of them fill a shard
    FeatureStore(tmp_path, progress=False).get("wide", keys[:3], lambda rows: iter([wide]), 2**23, "toy")
    assert [len(shard.keys) for shard in _feature_shard.scan(tmp_path / "wide")[0]] == [2, 1]
    with pytest.raises(SettingError, match="shard_rows=0"):
        FeatureStore(tmp_path, shard_rows=0)


@pytest.mark.parametrize(
    ("limit", "shard_rows"), [(100, 20), (440, 20), (300, 4)], ids=["array header", "array", "sidecar"]
)
def test_a_full_disk_leaves_no_half_shard(limit: int, shard_rows: int, tmp_path: Path) -> None:
    ask(tmp_path, range(4))
    before = sorted(path.name for path in (tmp_path / SPACE).iterdir() if not path.name.startswith("."))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The system then refuses to let a file grow, as on a full disk. An array of 16 rows has 448 bytes, one of 4 rows
    # 208 and its sidecar more than 500.
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        keys = [key_of(image) for image in range(20)]
        with pytest.raises(StoreError, match=r"cannot be written .* type the same command"):
            store_at(tmp_path, shard_rows).get(SPACE, keys, Backbone(keys), DIM, "toy")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert sorted(path.name for path in (tmp_path / SPACE).iterdir() if not path.name.startswith(".")) == before
    _, backbone = ask(tmp_path, range(20))
    assert backbone.computed == [key_of(image) for image in range(4, 20)]


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        ask(tmp_path / "file", range(4))


def test_progress_is_shown_only_while_computing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = [key_of(image) for image in range(4)]
    store = FeatureStore(tmp_path)
    store.get(SPACE, keys, Backbone(keys), DIM, "toy backbone, view [2]")
    shown = capsys.readouterr()
    assert "toy backbone, view [2]" in shown.err.replace("\n", " ")
    assert "images/s" in shown.err
    assert shown.out == ""
    store.get(SPACE, keys, Backbone(keys), DIM, "toy backbone, view [2]")
    assert capsys.readouterr().err == ""


@given(
    calls=st.lists(
        st.tuples(
            st.lists(st.integers(0, 30), max_size=25),
            st.integers(1, 9),
            st.integers(1, 7),
            # Another shape of the right size, rightly signed, is no damage that could be noticed.
            st.one_of(st.none(), st.tuples(st.integers(0, 99), st.sampled_from(sorted({*DAMAGE} - {"other shape"})))),
        ),
        max_size=6,
    )
)
@settings(max_examples=40, deadline=None)
def test_any_sequence_of_calls_gives_exact_features_and_computes_only_what_is_lost_or_new(
    calls: list[tuple[list[int], int, int, tuple[int, str] | None]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        written: dict[Path, tuple[bytes, list[str]]] = {}
        for images, shard_rows, batch, damage in calls:
            shards = _feature_shard.scan(root / SPACE)[0]
            if damage is not None and shards:
                hit = shards[damage[0] % len(shards)].path
                if hit.exists() and hit.stat().st_size > 20:
                    DAMAGE[damage[1]](hit)
            # The same bit flipped twice is no damage, so the bytes decide what is still there.
            stored = {key for path, (was, held) in written.items() if contents(path) == was for key in held}
            keys = [key_of(image) for image in images]
            backbone = Backbone(keys, batch)
            table = store_at(root, shard_rows).get(SPACE, keys, backbone, DIM, "toy")
            np.testing.assert_array_equal(table.gather(np.arange(len(keys))), features_of(keys))
            assert sorted(backbone.computed) == sorted(set(keys) - stored)
            for shard in _feature_shard.scan(root / SPACE)[0]:
                if set(shard.keys) <= set(backbone.computed):  # a new one, perhaps under a number that was free again
                    written[shard.path] = contents(shard.path), shard.keys


def contents(path: Path) -> bytes:
    """Give both files of a shard as one string of bytes."""
    return b"|".join(part.read_bytes() for part in (path, path.with_suffix(".json")) if part.exists())
