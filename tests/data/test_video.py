"""A video's frames: in order, in RGB, with their time, whatever the file is called and whatever is wrong with it."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from wellai_exp.data import is_video, read_video
from wellai_exp.errors import DataError

FPS, FRAMES = 10.0, 40


def film(path: Path, frames: int = FRAMES) -> Path:
    """Make a video whose frames grow redder; gives its path."""
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*"MJPG"), FPS, (64, 48))  # type: ignore[attr-defined]
    for number in range(frames):
        writer.write(np.full((48, 64, 3), (0, 40, 5 * number), np.uint8))
    writer.release()
    return path


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("video") / "red.avi")


def test_each_frame_comes_once_upright_and_red_first(video: Path) -> None:
    frames = list(read_video(video))
    assert [frame.number for frame in frames] == list(range(FRAMES))
    assert [frame.seconds for frame in frames] == pytest.approx([number / FPS for number in range(FRAMES)])
    for frame in frames:
        assert frame.image.shape == (48, 64, 3)
        red, green, blue = frame.image.reshape(-1, 3).mean(axis=0)
        assert (red, green, blue) == pytest.approx((5 * frame.number, 40, 0), abs=6)


@pytest.mark.parametrize(
    ("every", "expected"), [(0.0, list(range(40))), (1.0, [0, 10, 20, 30]), (0.25, [0, 3, 5, 8]), (99.0, [0])]
)
def test_frames_are_given_at_intervals(every: float, expected: list[int], video: Path) -> None:
    assert [frame.number for frame in read_video(video, every)][: len(expected)] == expected


@pytest.mark.parametrize(
    "name", [b"\xff\xfe.avi", "나무 자세.avi".encode(), b"concat:a|b.avi", b"img_%02d.avi", b"[x]\n.AVI", b"http:x.avi"]
)
def test_any_name_may_be_read(name: bytes, video: Path, tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), name)))  # noqa: PTH118
    path.write_bytes(video.read_bytes())
    assert is_video(path)
    assert len(list(read_video(path))) == FRAMES


def test_what_is_no_video_is_told_in_a_sentence(video: Path, tmp_path: Path) -> None:
    whole = video.read_bytes()
    bad = {
        b"": "is empty",
        b"<html>not found</html>" * 20: "is no video that can be read",
        b"#EXTM3U\n#EXTINF:1\n" + os.fsencode(video) + b"\n#EXT-X-ENDLIST\n": "is a list of videos",
        b"ffconcat version 1.0\nfile " + os.fsencode(video) + b"\n": "is a list of videos",
        whole[:300]: "no frame that can be decoded|is no video",
    }
    for content, said in bad.items():
        path = tmp_path / "bad.avi"
        path.write_bytes(content)
        with pytest.raises(DataError, match=said):
            list(read_video(path))
    with pytest.raises(DataError, match="cannot be read"):
        list(read_video(tmp_path / "absent.avi"))


def test_a_video_that_was_cut_gives_what_there_is_and_then_says_so(video: Path, tmp_path: Path) -> None:
    whole = video.read_bytes()
    path = tmp_path / "cut.avi"
    path.write_bytes(whole[: 6 * len(whole) // 10])
    frames = read_video(path)
    assert next(frames).number == 0
    with pytest.raises(DataError, match=r"is cut short: it ends after \d\.\d s of 4\.0 s"):
        list(frames)


def test_a_caller_that_stops_early_leaves_no_file_behind(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    frames = read_video(video)
    next(frames)
    assert len(list(tmp_path.iterdir())) == 1
    frames.close()  # type: ignore[attr-defined]
    assert not list(tmp_path.iterdir())
