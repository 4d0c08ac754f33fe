"""The reader against Pillow, against arithmetic, and against files broken in every way met so far."""

from __future__ import annotations

import io
import os
import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from wellai_exp.data._reader import PAD_GREY, ImageReader, decode, fit, read_image
from wellai_exp.errors import DataError, SettingError

HOWS = ("stretch", "crop", "pad")
RED, BLUE = (255, 0, 0), (0, 0, 255)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def smooth(height: int = 48, width: int = 64) -> npt.NDArray[np.uint8]:
    """A different ramp in each channel: every flip, turn and channel order changes it, and JPEG keeps it."""
    y, x = np.mgrid[0:height, 0:width]
    channels = [255 * x / width, 255 * y / height, 255 * (x + y) / (width + height) * 0.5]
    return np.stack(channels, axis=-1).astype(np.uint8)


def noise(height: int = 60, width: int = 80) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_lossless_formats_are_exact(kind: str) -> None:
    np.testing.assert_array_equal(decode(encoded(Image.fromarray(smooth()), kind)), smooth())


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "AVIF", "JPEG2000"])
def test_other_formats_agree_with_pillow(kind: str) -> None:
    data = encoded(Image.fromarray(smooth()), kind)
    with Image.open(io.BytesIO(data)) as reference:
        difference = decode(data).astype(int) - np.asarray(reference.convert("RGB"), int)
    assert np.abs(difference).mean() < 2


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_rotation_is_applied(kind: str, mode: str, orientation: int) -> None:
    if kind == "JPEG" and mode == "RGBA":
        mode = "RGB"
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {"quality": 95} if kind == "JPEG" else {}
    data = encoded(Image.fromarray(smooth()).convert(mode), kind, exif=exif, **options)
    with Image.open(io.BytesIO(data)) as stored:
        upright = np.asarray(ImageOps.exif_transpose(stored).convert("RGB"), int)
    pixels = decode(data)
    assert pixels.shape == upright.shape
    assert np.abs(pixels.astype(int) - upright).mean() < 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_sixteen_bit_files_are_turned_too(orientation: int) -> None:
    grey = smooth()[..., 0].astype(np.uint16) * 257
    exif = Image.Exif()
    exif[0x0112] = orientation
    for kind in ("PNG", "TIFF"):
        data = encoded(Image.fromarray(grey), kind, exif=exif)
        with Image.open(io.BytesIO(data)) as stored:
            upright = np.asarray(ImageOps.exif_transpose(stored)) // 257
        np.testing.assert_array_equal(decode(data)[..., 1], upright)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_alpha_is_laid_on_white(kind: str) -> None:
    rgba = np.zeros((8, 9, 4), np.uint8)
    rgba[..., 0] = 200
    rgba[:, :3, 3], rgba[:, 3:6, 3], rgba[:, 6:, 3] = 0, 128, 255
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    pixels = decode(encoded(Image.fromarray(rgba), kind, **options))
    np.testing.assert_array_equal(pixels[0, 0], (255, 255, 255))
    np.testing.assert_allclose(pixels[0, 4], (227, 127, 127), atol=1)
    np.testing.assert_array_equal(pixels[0, 8], (200, 0, 0))


def test_transparent_palette_is_laid_on_white() -> None:
    rgba = np.zeros((8, 8, 4), np.uint8)
    rgba[:, 4:] = (*RED, 255)
    for kind in ("GIF", "PNG"):
        image = Image.fromarray(rgba)
        pixels = decode(encoded(image if kind == "GIF" else image.quantize(8), kind))
        np.testing.assert_array_equal(pixels[0, 0], (255, 255, 255))
        np.testing.assert_array_equal(pixels[0, 7], RED)


@given(level=st.integers(0, 65535))
@settings(max_examples=30, deadline=None)
def test_sixteen_bits_are_rounded_to_eight(level: int) -> None:
    colour = np.full((4, 5, 3), level, np.uint16)
    for pixels16 in (colour, colour[..., 0]):
        for suffix in (".png", ".tiff"):
            pixels = decode(cv2.imencode(suffix, pixels16)[1].tobytes())
            assert pixels.shape == (4, 5, 3)
            assert set(np.unique(pixels)) == {round(level / 257)}


def test_ten_bit_avif_is_scaled() -> None:
    ok, data = cv2.imencode(".avif", np.full((16, 16, 3), 512, np.uint16), [cv2.IMWRITE_AVIF_DEPTH, 10])
    assert ok
    np.testing.assert_allclose(decode(data.tobytes()), 128, atol=1)


@pytest.mark.parametrize("mode", ["CMYK", "L", "P", "1", "LA", "PA"])
def test_other_modes_become_rgb(mode: str) -> None:
    red = Image.fromarray(np.full((8, 8, 3), RED, np.uint8)).convert(mode)
    pixels = decode(encoded(red, "JPEG" if mode == "CMYK" else "TIFF" if mode == "PA" else "PNG"))
    assert pixels.shape == (8, 8, 3)
    assert pixels.dtype == np.uint8
    np.testing.assert_allclose(pixels[4, 4], np.asarray(red.convert("RGB"))[4, 4], atol=2)


def test_an_animation_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, BLUE)]
    for kind, options in (("GIF", {}), ("PNG", {}), ("WEBP", {"lossless": True})):
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        np.testing.assert_array_equal(decode(data)[4, 4], RED)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"])
@pytest.mark.parametrize("kept", [0.01, 0.5, 0.99])
def test_truncated_files_are_refused(kind: str, kept: float) -> None:
    data = encoded(noise(), kind)
    with pytest.raises(DataError, match=r"asana/0001\.jpg .* remove it\."):
        decode(data[: int(len(data) * kept)], "asana/0001.jpg")


@pytest.mark.parametrize("data", [b"", b"\xff", b"<html><body>404</body></html>", b"\x00" * 4096])
def test_what_is_no_image_is_refused(data: bytes) -> None:
    with pytest.raises(DataError, match="page"):
        decode(data, "page")


@pytest.mark.parametrize("side", [7_100, 9_600, 20_000])
@pytest.mark.filterwarnings("ignore:Image size")
def test_a_bomb_is_refused_from_its_header(side: int) -> None:
    data = encoded(Image.new("1", (side, side)), "PNG")
    # The pixels are gone: had it been decoded, the sentence would be about damage.
    with pytest.raises(DataError, match="bomb has more than 50 megapixels"):
        decode(data[:1000], "bomb")


def test_float_pixels_are_refused() -> None:
    data = cv2.imencode(".tiff", np.full((4, 4), 0.5, np.float32))[1].tobytes()
    with pytest.raises(DataError, match="float32"):
        decode(data)


def test_read_image_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.jpg cannot be read"):
        read_image(tmp_path / "gone.jpg")
    with pytest.raises(DataError, match="cannot be read"):
        read_image(tmp_path)
    odd = tmp_path / os.fsdecode(b"\xb3\xaa.jpg")
    odd.write_bytes(b"no image")
    with pytest.raises(DataError) as caught:
        read_image(odd)
    assert r"\xb3\xaa.jpg" in str(caught.value).encode("utf-8").decode()
    odd.write_bytes(encoded(Image.fromarray(smooth()), "PNG"))
    np.testing.assert_array_equal(read_image(odd), smooth())


@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    size=st.integers(1, 60),
    how=st.sampled_from(HOWS),
    level=st.integers(0, 255),
)
@settings(max_examples=150, deadline=None)
def test_fit_gives_a_square_and_keeps_a_flat_colour(height: int, width: int, size: int, how: str, level: int) -> None:
    square = fit(np.full((height, width, 3), level, np.uint8), size, how)
    assert square.shape == (size, size, 3)
    assert square.dtype == np.uint8
    flat = np.abs(square.astype(int) - level) <= 1
    if how == "pad":
        inside = flat.all(axis=-1) | (square == PAD_GREY).all(axis=-1)
        assert inside.all()
        assert flat[(size - 1) // 2, (size - 1) // 2].all()
    else:
        assert flat.all()


@pytest.mark.parametrize("how", HOWS)
def test_fit_leaves_a_square_of_the_size_alone(how: str) -> None:
    image = np.asarray(noise(32, 32))
    np.testing.assert_array_equal(fit(image, 32, how), image)


@pytest.mark.parametrize("how", HOWS)
@given(scale=st.integers(2, 5))
@settings(max_examples=8, deadline=None)
def test_shrinking_averages_areas(how: str, scale: int) -> None:
    image = np.random.default_rng(scale).integers(0, 256, (16 * scale, 16 * scale, 3), np.uint8)
    means = image.reshape(16, scale, 16, scale, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(fit(image, 16, how), means, atol=0.51)


def test_a_side_that_shrinks_is_averaged_though_the_other_grows() -> None:
    stripes = np.zeros((8, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    np.testing.assert_array_equal(fit(stripes, 32, "stretch"), 100)


def test_crop_takes_the_centre_and_pad_keeps_all() -> None:
    image = np.zeros((20, 60, 3), np.uint8)
    image[:, :20], image[:, 20:40], image[:, 40:] = RED, (0, 255, 0), BLUE
    np.testing.assert_array_equal(fit(image, 20, "crop"), np.full((20, 20, 3), (0, 255, 0)))
    padded = fit(image, 30, "pad")
    np.testing.assert_array_equal(padded[:10], PAD_GREY)
    np.testing.assert_array_equal(padded[20:], PAD_GREY)
    np.testing.assert_array_equal(padded[15, [0, 15, 29]], [RED, (0, 255, 0), BLUE])


def test_wrong_settings_are_refused() -> None:
    for make in (
        lambda: fit(smooth(), 8, "squash"),
        lambda: fit(smooth(), 0, "crop"),
        lambda: ImageReader([], 8, "squash"),
        lambda: ImageReader([], 8, batch_size=0),
        lambda: ImageReader([], 8, threads=0),
        lambda: ImageReader([], 8, ahead=0),
    ):
        with pytest.raises(SettingError, match=r"=.*: .*; set "):
            make()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("images")
    paths = []
    for index in range(23):
        path = root / f"{index}.png"
        # Sizes differ so that threads finish out of order.
        Image.new("RGB", (4 + 37 * (index % 5) ** 2, 9), (index * 10, 255 - index, index)).save(path)
        paths.append(path)
    return paths


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize("batch_size", [1, 5, 23, 50])
def test_batches_come_in_order(folder: list[Path], threads: int, batch_size: int) -> None:
    reader = ImageReader(folder, 6, "crop", batch_size=batch_size, threads=threads)
    expected = np.stack([fit(read_image(path), 6, "crop") for path in folder])
    for _ in range(2):
        batches = list(reader)
        assert len(batches) == len(reader) == -(-23 // batch_size)
        np.testing.assert_array_equal(np.concatenate(batches), expected)


def test_no_paths_give_no_batches() -> None:
    reader = ImageReader([], 6)
    assert len(reader) == 0
    assert list(reader) == []


def test_a_bad_image_stops_the_reader_by_name(folder: list[Path], tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"")
    seen: list[npt.NDArray[np.uint8]] = []
    with pytest.raises(DataError, match=r"bad\.jpg is empty"):
        seen.extend(ImageReader([*folder[:10], bad, *folder[10:]], 6, batch_size=4, threads=3))
    assert len(seen) == 2


def test_reading_ahead_is_bounded_and_ends_with_the_loop(folder: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []

    def counted(path: Path) -> npt.NDArray[np.uint8]:
        read.append(path)
        return np.zeros((4, 4, 3), np.uint8)

    monkeypatch.setattr("wellai_exp.data._reader.read_image", counted)
    batches = iter(ImageReader(folder * 20, 4, batch_size=5, threads=2, ahead=2))
    next(batches)
    next(batches)
    assert len(read) <= 5 * (2 + 2)
    batches.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("image-reader")]
    assert len(read) <= 5 * (2 + 2)


@pytest.mark.skipif("WELLAI_ASSETS" not in os.environ, reason="WELLAI_ASSETS names no folder of photographs")
@pytest.mark.filterwarnings("ignore:Image size")
def test_real_photographs_decode_as_in_pillow_and_broken_ones_are_refused() -> None:
    root = Path(os.environ["WELLAI_ASSETS"]) / "data" / "yoga62-dirty"
    paths = sorted(path for path in root.rglob("*") if path.is_file())[::6]
    refused = 0
    for path in paths:
        try:
            pixels = read_image(path)
        except DataError:
            refused += 1
            continue
        with Image.open(path) as stored:
            upright = ImageOps.exif_transpose(stored)
            if upright.mode == "RGB":
                assert np.abs(pixels.astype(int) - np.asarray(upright, int)).mean() < 3, path
    assert refused < 0.02 * len(paths)
