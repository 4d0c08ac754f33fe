"""A bundle's folder appears whole or not at all."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

import pytest

from wellai_exp.errors import SettingError, StoreError
from wellai_exp.export import Bundle, fresh_bundle, read_bundle, seal_bundle


def fill(folder: Path, text: str) -> None:
    for number in range(20):
        (folder / f"{number}.txt").write_text(text, encoding="utf-8")
    seal_bundle(Bundle(folder, text, None, "ab" * 32, ("a", "b"), {}, (None, None), 32, "pad", (), "now"))


def export(place: Path, text: str) -> None:
    with fresh_bundle(place, "out") as folder:
        fill(folder, text)


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != ".bundles.lock")


def test_an_older_bundle_is_replaced(tmp_path: Path) -> None:
    export(tmp_path / "b", "one")
    export(tmp_path / "b", "two")
    assert read_bundle(tmp_path / "b").model == "two"
    assert visible(tmp_path) == ["b"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_breaks_off_leaves_the_old_one_and_nothing_else(error: BaseException, tmp_path: Path) -> None:
    export(tmp_path / "b", "one")
    expected = StoreError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected), fresh_bundle(tmp_path / "b", "out") as folder:
        (folder / "half").write_bytes(b"x")
        raise error
    assert read_bundle(tmp_path / "b").model == "one"
    assert visible(tmp_path) == ["b"]


def die_filling(place: Path) -> None:
    with fresh_bundle(place, "out") as folder:
        fill(folder, "two")
        os.kill(os.getpid(), signal.SIGKILL)


def die_replacing(place: Path) -> None:
    real, done = Path.rename, list[Path]()

    def rename(path: Path, target: Path) -> Path:
        if done:
            os.kill(os.getpid(), signal.SIGKILL)
        done.append(path)
        return real(path, target)

    Path.rename = rename  # type: ignore[assignment,method-assign]
    export(place, "two")


def killed(target: Callable[[Path], None], place: Path) -> None:
    job = get_context("fork").Process(target=target, args=(place,))
    job.start()
    job.join(60)
    assert job.exitcode == -signal.SIGKILL


def test_what_a_killed_export_left_is_cleared_away_and_what_a_living_one_holds_is_not(tmp_path: Path) -> None:
    export(tmp_path / "b", "one")
    killed(die_filling, tmp_path / "b")
    assert read_bundle(tmp_path / "b").model == "one"
    assert len(visible(tmp_path)) > 1
    with fresh_bundle(tmp_path / "b", "out") as living:
        export(tmp_path / "b", "three")
        assert living.is_dir()
        fill(living, "four")
    assert read_bundle(tmp_path / "b").model == "four"
    assert visible(tmp_path) == ["b"]


def test_a_bundle_whose_replacement_was_killed_goes_back(tmp_path: Path) -> None:
    export(tmp_path / "b", "one")
    killed(die_replacing, tmp_path / "b")
    assert not (tmp_path / "b").exists()
    with pytest.raises(KeyError), fresh_bundle(tmp_path / "b", "out"):
        raise KeyError
    assert read_bundle(tmp_path / "b").model == "one"
    assert visible(tmp_path) == ["b"]


def test_what_is_no_bundle_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "mine.jpg").write_bytes(b"x")
    with pytest.raises(SettingError, match=r"out=.*photos: something lies there that is no bundle"):
        export(tmp_path / "photos", "one")
    assert (tmp_path / "photos" / "mine.jpg").read_bytes() == b"x"


def test_exports_at_once_do_not_mix(tmp_path: Path) -> None:
    context = get_context("fork")
    jobs = [context.Process(target=export, args=(tmp_path / "b", f"model {number}")) for number in range(4)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join(60)
    assert [job.exitcode for job in jobs] == [0] * 4
    bundle = read_bundle(tmp_path / "b")
    assert {(tmp_path / "b" / f"{number}.txt").read_text() for number in range(20)} == {bundle.model}
    assert visible(tmp_path) == ["b"]
