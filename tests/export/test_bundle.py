from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wellai_exp.errors import StoreError
from wellai_exp.export import Artifact, Bundle, read_bundle, seal_bundle


def _make(folder: Path) -> Bundle:
    (folder / "tflite").mkdir(parents=True)
    (folder / "tflite" / "float32.tflite").write_bytes(bytes(range(256)))
    (folder / "안내.md").write_text("card", encoding="utf-8")
    artifact = Artifact(
        "tflite_float32", "tflite", "tflite/float32.tflite", 32, 0.000256, True, parity={"litert": {"largest": 1e-6}}
    )
    return Bundle(
        folder, "demo", 3, "ab" * 32, ("나무", "Warrior_[I]"), {"level": ("a", "b")}, (0.5, None), 32, "pad",
        (artifact,), "2026-01-01T00:00:00+00:00",
    )  # fmt: skip


def test_a_bundle_is_read_as_it_was_sealed(tmp_path: Path) -> None:
    bundle = _make(tmp_path / "b")
    seal_bundle(bundle)
    read = read_bundle(tmp_path / "b")
    assert read == bundle
    assert read.path(read.artifact("tflite_float32")).read_bytes()[3] == 3


def test_coreutils_agrees(tmp_path: Path) -> None:
    seal_bundle(_make(tmp_path))
    subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=tmp_path, check=True)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_one_changed_byte_anywhere_is_refused(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("bundle")
    seal_bundle(_make(folder))
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    victim = data.draw(st.sampled_from(files))
    content = bytearray(victim.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    victim.write_bytes(content)
    with pytest.raises(StoreError):
        read_bundle(folder)


def test_a_missing_an_added_and_a_linked_file_are_refused(tmp_path: Path) -> None:
    seal_bundle(_make(tmp_path / "a"))
    (tmp_path / "a" / "안내.md").unlink()
    with pytest.raises(StoreError, match="missing"):
        read_bundle(tmp_path / "a")
    seal_bundle(_make(tmp_path / "b"))
    (tmp_path / "b" / "page.js").write_text("alert(1)")
    with pytest.raises(StoreError, match="not exported"):
        read_bundle(tmp_path / "b")
    seal_bundle(_make(tmp_path / "c"))
    (tmp_path / "c" / "link").symlink_to("/etc")
    with pytest.raises(StoreError, match="not exported"):
        read_bundle(tmp_path / "c")


def test_no_bundle_and_no_artifact_are_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no bundle"):
        read_bundle(tmp_path)
    seal_bundle(_make(tmp_path / "b"))
    with pytest.raises(StoreError, match="it holds tflite_float32"):
        read_bundle(tmp_path / "b").artifact("onnx")
