"""A drawn data set: articulated figures in yoga poses, for trying everything without one photograph.

Every picture has its own body, clothes, camera, light, background and clutter, and every joint its own error, so that
a pose has to be read from the arrangement of the limbs and not from any pixel.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from wellai_exp.data._poses import (
    POSES,
    SPREAD,
    VARIANTS,
    Array,
    Body,
    Colour,
    Part,
    Scene,
    any_colour,
    camera,
    dim,
    dress,
    skeleton,
)
from wellai_exp.errors import DataError, SettingError, StoreError
from wellai_exp.seeding import derive_seed, generator

Image = npt.NDArray[np.uint8]
Canvas = npt.NDArray[np.float32]

# Raised whenever the same seed gives other pictures, so that an older folder is drawn anew.
DRAWING = 1
_RECORD = "demo.json"
_CIRCLE = np.stack([np.cos(np.linspace(0, 2 * np.pi, 16, False)), np.sin(np.linspace(0, 2 * np.pi, 16, False))], axis=1)
_SHIFT = 4


def _fill(canvas: Any, outline: Array, colour: float | Colour) -> None:
    """Fill a convex polygon [n, 2] in pixels with soft edges."""
    cv2.fillConvexPoly(canvas, np.round(outline * (1 << _SHIFT)).astype(np.int32), colour, cv2.LINE_AA, _SHIFT)


def _hull(centres: Array, radii: Array) -> Array:
    """Give the outline [n, 2] of the convex hull of circles: a capsule for two, a trunk for more."""
    rims = (centres[:, None] + radii[:, None, None] * _CIRCLE).reshape(-1, 2).astype(np.float32)
    return np.asarray(cv2.convexHull(rims)[:, 0], dtype=np.float64)


def _noise(rng: np.random.Generator, size: int, strength: float, octaves: int, colour: float) -> Canvas:
    """Give lumps of several sizes, [size, size, 3], grey but for the share `colour` of it, in units of `strength`."""
    total = np.zeros((2, 2, 3), np.float32)
    for octave in range(octaves):
        cells = 4 << octave
        tint = rng.standard_normal((cells, cells, 4), dtype=np.float32) * np.float32(strength)
        total = cv2.resize(total, (cells, cells), interpolation=cv2.INTER_CUBIC) + tint[..., :1]
        total += np.float32(colour) * tint[..., 1:]
        strength *= rng.uniform(0.5, 0.95)
    return np.asarray(cv2.resize(total, (size, size), interpolation=cv2.INTER_LINEAR), dtype=np.float32)


def _surface(rng: np.random.Generator, size: int) -> Canvas:
    """Give a wall, a sky or a foliage-like texture, float [size, size, 3] in 0..255."""
    top, other = (np.array(any_colour(rng, (0.0, 0.45), (0.3, 1.0)), np.float32) for _ in range(2))
    ramp = np.linspace(0, 1, size, dtype=np.float32)[:, None, None]
    image = np.repeat(top + (other - top) * 0.6 * ramp, size, axis=1)
    if rng.uniform() < 0.65:
        image += _noise(rng, size, rng.uniform(3, 20), 4, 0.35)
    if rng.uniform() < 0.25:
        angle, period = rng.uniform(0, np.pi), rng.uniform(0.03, 0.2) * size / (2 * np.pi)
        step = np.arange(size, dtype=np.float32) / np.float32(period)
        wave = np.sin(step[:, None] * np.float32(math.sin(angle)) + step * np.float32(math.cos(angle)))
        image += (np.sign(wave) * np.float32(rng.uniform(3, 14)))[..., None]
    return np.clip(image, 0, 255, out=image)


def _clutter(canvas: Canvas, rng: np.random.Generator, count: int, reach: float) -> None:
    """Scatter boxes, blobs and sticks of up to `reach` of the picture's side."""
    size = canvas.shape[0]
    for _ in range(count):
        centre = rng.uniform(-0.05, 1.05, (1, 2)) * size
        span = size * reach * rng.uniform(0.15, 1.0)
        angle = rng.uniform(0, np.pi)
        kind = rng.uniform()
        if kind < 0.5:
            arm = np.array([[math.cos(angle), math.sin(angle)]]) * span
            radii = np.sort(rng.uniform(0.012, 0.05, 2) * size)
            outline = _hull(np.concatenate([centre - arm / 2, centre + arm / 2]), radii)
        elif kind < 0.75:
            turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
            half = np.array([span / 2, span * rng.uniform(0.15, 0.5)])
            outline = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half @ turn.T + centre
        else:
            outline = centre + _CIRCLE * span * rng.uniform(0.15, 0.4, 2)
        _fill(canvas, outline, any_colour(rng, (0.0, 0.9), (0.15, 1.0)))


def _stage(scene: Scene, cloud: Array, rng: np.random.Generator, size: int) -> Canvas:
    """Draw wall, floor, mat and background clutter behind the figure."""
    canvas = np.ascontiguousarray(_surface(rng, size))
    if rng.uniform() < 0.4:
        _clutter(canvas, rng, int(rng.integers(1, 5)), 0.5)
    if rng.uniform() < 0.75:
        away = np.linalg.inv(scene.turn) @ (0, 0, -rng.uniform(0.7, 2.5))
        aside = np.linalg.inv(scene.turn) @ (1, 0, 0)
        edge, _ = scene.project(np.stack([away - 4 * aside, away + 4 * aside]) * (1, 0, 1))
        floor, mask = _surface(rng, size), np.zeros((size, size), np.float32)
        _fill(mask, np.concatenate([edge, edge[::-1] + np.array((0, 4 * size))]), 1.0)
        canvas = canvas + (floor - canvas) * mask[..., None]
    if rng.uniform() < 0.6:
        low, high = (
            cloud.min(axis=0)[[0, 2]] - rng.uniform(0, 0.3, 2),
            cloud.max(axis=0)[[0, 2]] + rng.uniform(0, 0.3, 2),
        )
        corners = [(low[0], low[1]), (high[0], low[1]), (high[0], high[1]), (low[0], high[1])]
        mat, _ = scene.project(np.array([(x, 0.0, z) for x, z in corners]))
        _fill(canvas, mat, any_colour(rng, (0.1, 0.9), (0.25, 0.95)))
    if rng.uniform() < 0.3:
        _clutter(canvas, rng, int(rng.integers(1, 4)), 0.25)
    return np.ascontiguousarray(canvas, dtype=np.float32)


def _draw_figure(canvas: Canvas, parts: list[Part], points: dict[str, Array], scene: Scene, light: Array) -> None:
    """Draw the pieces from the farthest to the nearest, each with an edge, a shaded and a lit side."""
    flat, scale = scene.project(np.stack(list(points.values())))
    where = {name: index for index, name in enumerate(points)}
    rows = [[where[name] for name in part.names] for part in parts]
    nearness = -scene.zoom / scale
    depth = [sum(nearness[row].tolist()) / len(row) for row in rows]
    near, far = max(depth), min(depth)
    tilt = light[:2] * (1, -1)
    for index in sorted(range(len(parts)), key=lambda i: depth[i] + parts[i].lift):
        part, row = parts[index], rows[index]
        radii = np.array(part.radii) * scale[row]
        shade = 0.78 + 0.22 * (depth[index] - far) / (near - far + 1e-6)
        _fill(canvas, _hull(flat[row], radii + 0.003 * canvas.shape[0]), dim(part.colour, 0.5 * shade))
        _fill(canvas, _hull(flat[row], radii), dim(part.colour, 0.78 * shade))
        _fill(canvas, _hull(flat[row] + tilt * radii[:, None] * 0.28, radii * 0.66), dim(part.colour, shade))


def _cast_shadow(canvas: Canvas, parts: list[Part], points: dict[str, Array], scene: Scene, light: Array) -> Canvas:
    """Darken the floor where the figure keeps off the light."""
    size = canvas.shape[0]
    ray = np.linalg.inv(scene.turn) @ light
    mask = np.zeros((size, size), np.float32)
    cloud = np.stack(list(points.values()))
    fall = cloud - ray * (cloud[:, 1:2] / max(float(ray[1]), 0.35))
    flat, scale = scene.project(fall * (1, 0, 1))
    where = {name: index for index, name in enumerate(points)}
    for part in parts:
        row = [where[name] for name in part.names]
        _fill(mask, _hull(flat[row], np.array(part.radii) * scale[row] * 0.9), 1.0)
    mask = cv2.GaussianBlur(mask, (0, 0), 0.018 * size)
    return np.asarray(canvas * (1 - np.float32(0.45) * mask[..., None]), dtype=np.float32)


def _photograph(canvas: Canvas, rng: np.random.Generator) -> Image:
    """Put light, colour cast, blur and sensor noise on the picture."""
    size = canvas.shape[0]
    slope = rng.normal(0, 0.2, 2).astype(np.float32)
    ramp = np.linspace(-0.5, 0.5, size, dtype=np.float32)
    gain = (rng.uniform(0.7, 1.2) * (1 + rng.normal(0, 0.05, 3))).astype(np.float32)
    image = canvas * ((1 + slope[0] * ramp[:, None] + slope[1] * ramp)[..., None] * gain)
    image -= 110
    image *= np.float32(rng.uniform(0.7, 1.2))
    image += np.float32(rng.uniform(90, 130))
    if rng.uniform() < 0.05:
        image[:] = image.mean(axis=2, keepdims=True)
    blur = rng.uniform(0.0, 0.9) * size / 128
    if blur > 0.3:
        image = cv2.GaussianBlur(image, (0, 0), blur)
    image += rng.standard_normal(image.shape, dtype=np.float32) * np.float32(rng.uniform(0, 9))
    return np.asarray(np.clip(np.rint(image), 0, 255), dtype=np.uint8)


def _check_size(size: int) -> None:
    if size < 16:
        raise SettingError("data.size", size, "a figure needs at least 16 pixels", "set data.size=128")


def render(pose: str, seed: int, size: int = 128) -> Image:
    """Draw one figure.

    Parameters
    ----------
    pose : str
        One of `POSES`.
    seed : int
        Decides body, clothes, camera, light and surroundings.
    size : int
        Height and width in pixels.

    Returns
    -------
    ndarray of shape (size, size, 3), uint8
        The picture, in RGB.

    Raises
    ------
    SettingError
        Where the pose is not known or the picture too small to show one.
    """
    if pose not in VARIANTS:
        raise SettingError("pose", pose, "there is no such pose", f"choose one of {', '.join(POSES)}")
    _check_size(size)
    rng = generator(seed, "figure", pose)
    variants = VARIANTS[pose]
    choice = variants[int(rng.integers(len(variants)))]
    body = Body(*np.append(rng.normal(1, 0.06, 6), rng.uniform(0.8, 1.3)))
    points = skeleton(choice, body, rng.normal(0, SPREAD))
    cloud = np.stack(list(points.values()))
    yaw = choice.view + rng.normal(0, 22) + (180 if rng.uniform() < 0.5 else 0)
    turn = camera(float(yaw), float(rng.uniform(0, 20)), float(rng.normal(0, 4)))
    scene = Scene(turn, float(rng.uniform(3.2, 7)))
    scene.frame(cloud, rng, size)
    light = np.array([rng.normal(0, 0.7), rng.uniform(0.5, 1.0), rng.uniform(0.0, 0.6)])
    light /= np.linalg.norm(light)
    canvas = _stage(scene, cloud, rng, size)
    parts = dress(rng, body, np.asarray(cv2.mean(canvas)[:3]))
    if rng.uniform() < 0.7:
        canvas = _cast_shadow(canvas, parts, points, scene, light)
    _draw_figure(canvas, parts, points, scene, light)
    if rng.uniform() < 0.3:
        _clutter(canvas, rng, int(rng.integers(1, 3)), 0.25)
    return _photograph(canvas, rng)


def class_sizes(n_images: int, n_classes: int, ratio: float) -> list[int]:
    """Share images among classes along an exponential profile.

    Class i gets a share proportional to ``ratio ** (-i / (n_classes - 1))``, the long-tailed profile of Cui et al.,
    "Class-Balanced Loss Based on Effective Number of Samples" (CVPR 2019), rounded by largest remainder.

    Parameters
    ----------
    n_images : int
        All images together.
    n_classes : int
        How many classes share them.
    ratio : float
        The largest class over the smallest.

    Returns
    -------
    list of int
        Sizes, never rising; they add up to `n_images`.

    Raises
    ------
    SettingError
        Where a number is out of range or the smallest class would get less than one image.
    """
    if n_classes < 1:
        raise SettingError("data.n_classes", n_classes, "there must be a class", "set data.n_classes=1 or more")
    if not (math.isfinite(ratio) and ratio >= 1):
        raise SettingError(
            "data.ratio", ratio, "the largest class over the smallest is at least 1", "set data.ratio=20"
        )
    shares = ratio ** (-np.arange(n_classes) / max(n_classes - 1, 1))
    least = math.ceil(float(shares.sum() / shares[-1]))
    if n_images < least:
        problem = f"the smallest of {n_classes} classes at {ratio:g}:1 would get less than one image"
        raise SettingError(
            "data.n_images", n_images, problem, f"set data.n_images={least} or more, or a smaller data.ratio"
        )
    exact = n_images * shares / shares.sum()
    sizes = np.floor(exact).astype(int)
    for index in np.argsort(sizes - exact, kind="stable")[: n_images - int(sizes.sum())]:
        sizes[index] += 1
    return [int(count) for count in sizes]


def _digest(root: Path) -> str:
    """Give the SHA-256 of the names and bytes of all pictures below `root`."""
    digest = sha256()
    for path in sorted(root.glob("*/*")):
        digest.update(f"{path.relative_to(root).as_posix()}\0".encode())
        digest.update(sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _is_drawn(root: Path, wanted: dict[str, Any]) -> bool:
    """Tell whether `root` holds exactly the set that `wanted` describes."""
    try:
        record = json.loads((root / _RECORD).read_text(encoding="utf-8"))
        return isinstance(record, dict) and record == {**wanted, "sha256": _digest(root)}
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError, UnicodeDecodeError):
        return False


def _refuse_foreign(root: Path) -> None:
    """Refuse to replace a folder that holds anything but a set drawn here."""
    if not root.exists():
        return
    names = sorted(path.name for path in root.iterdir()) if root.is_dir() else [root.name]
    foreign = [name for name in names if name not in {*POSES, _RECORD}]
    if names and (foreign or _RECORD not in names):
        raise DataError(
            f"data.root={root}: {(foreign or names)[0]} was not drawn here and would be lost; "
            "set data.root to a new folder."
        )


def _write_pictures(folder: Path, sizes: list[int], size: int, seed: int) -> None:
    """Draw every class into `folder`, showing the progress on standard error."""
    from rich.console import Console
    from rich.progress import track

    def draw(job: tuple[str, int]) -> None:
        pose, index = job
        picture = cv2.cvtColor(render(pose, derive_seed(seed, "demo", pose, index), size), cv2.COLOR_RGB2BGR)
        _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 92])
        (folder / pose / f"{index:04d}.jpg").write_bytes(data.tobytes())

    jobs = [(pose, index) for pose, count in zip(POSES, sizes, strict=True) for index in range(count)]
    for pose in POSES:
        (folder / pose).mkdir(parents=True)
    # OpenCV releases the interpreter's lock, so threads help and need no second process.
    pool = ThreadPoolExecutor(min(os.cpu_count() or 1, 8))
    try:
        for _ in track(pool.map(draw, jobs), "Drawing the demo data", len(jobs), console=Console(stderr=True)):
            pass
    finally:
        pool.shutdown(cancel_futures=True)


def draw_demo(root: Path, *, n_images: int = 1500, ratio: float = 20.0, size: int = 128, seed: int = 0) -> Path:
    """Draw a long-tailed folder of pictures, a subfolder a pose, unless exactly this set is there already.

    The set appears whole or not at all: it is drawn beside `root` and renamed. ``demo.json`` in `root` records the
    settings and a digest of the pictures, so that another setting, a newer drawing or a damaged picture draws anew.

    Parameters
    ----------
    root : Path
        The folder; it holds ``<pose>/<0000>.jpg`` afterwards.
    n_images : int
        All pictures together.
    ratio : float
        The most frequent pose's pictures over the rarest's.
    size : int
        Height and width in pixels.
    seed : int
        The same seed gives the same bytes.

    Returns
    -------
    Path
        `root`.

    Raises
    ------
    SettingError
        Where a number is out of range.
    DataError
        Where `root` holds files that were not drawn here.
    StoreError
        Where the folder cannot be written.
    """
    from filelock import FileLock

    sizes = class_sizes(n_images, len(POSES), ratio)
    _check_size(size)
    wanted = {"drawing": DRAWING, "n_images": n_images, "ratio": float(ratio), "size": size, "seed": seed}
    fresh, stale = root.with_name(f".{root.name}.drawing"), root.with_name(f".{root.name}.stale")
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        # Two workers that want the same set draw it once.
        with FileLock(root.with_name(f".{root.name}.lock")):
            if _is_drawn(root, wanted):
                return root
            _refuse_foreign(root)
            for leftover in (fresh, stale):
                shutil.rmtree(leftover, ignore_errors=True)
            try:
                _write_pictures(fresh, sizes, size, seed)
                (fresh / _RECORD).write_text(json.dumps({**wanted, "sha256": _digest(fresh)}, indent=2) + "\n", "utf-8")
                if root.exists():
                    root.replace(stale)
                fresh.replace(root)
            finally:
                for leftover in (fresh, stale):
                    shutil.rmtree(leftover, ignore_errors=True)
    except OSError as error:
        raise StoreError(
            f"data.root={root}: the pictures cannot be written ({error.strerror or error}); free the disk or set "
            "data.root to a folder you own."
        ) from error
    return root
