"""Twelve yoga poses as joint angles, the skeleton that turns angles into points, its body and the camera that sees it.

The figure at rest stands upright with hanging arms. Its axes, in metres: x points where it faces, y points up and z to
its right. All angles are in degrees. A positive flexion swings a hanging limb forwards, a positive abduction swings it
away from the body, a positive twist turns its front outwards; a knee bends the shin backwards, an elbow the forearm
forwards. A spine flexes forwards, leans to the right and twists to the right.
"""

from __future__ import annotations

import colorsys
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Angles = tuple[float, float, float]
Colour = tuple[float, float, float]

_SKIN = ((255, 219, 187), (241, 194, 150), (224, 172, 118), (198, 134, 84), (141, 85, 48), (92, 58, 38))
_HAIR = ((28, 22, 20), (60, 38, 24), (106, 70, 40), (186, 150, 92), (150, 62, 32), (170, 170, 172))
# How far the error of each joint angle spreads, in degrees, in the order that `skeleton` takes.
SPREAD = np.array([3, 5, 5, 5, 6, 8, 6, 10, *([9, 7, 9, 9, 0] * 2), *([6, 5, 7, 8, 10] * 2)], dtype=np.float64)


@dataclass(frozen=True)
class Limb:
    """One arm or leg.

    Parameters
    ----------
    root : tuple of float
        Flexion, abduction and twist of the shoulder or hip, in degrees.
    hinge : float
        Flexion of the elbow or knee, in degrees.
    end : float
        Flexion of the ankle, in degrees; 0 holds the foot square to the shin. Arms leave it at 0.
    """

    root: Angles
    hinge: float = 0.0
    end: float = 0.0


@dataclass(frozen=True)
class Pose:
    """The joint angles of one way to hold a pose.

    Parameters
    ----------
    pitch, roll : float
        Lean of the pelvis forwards and to the right, in degrees.
    spine, neck : tuple of float
        Flexion, lean and twist, in degrees; the spine's is shared by waist and chest.
    right_arm, left_arm, right_leg, left_leg : Limb
        The limbs.
    grounded : tuple of tuple of str
        Two groups of points which both rest on the floor, e.g. hands and feet, or nothing.
    view : float
        Angle about the vertical, in degrees, from which the pose is usually photographed: 0 from the side, -90 from
        the front.
    """

    pitch: float
    right_arm: Limb
    left_arm: Limb
    right_leg: Limb
    left_leg: Limb
    roll: float = 0.0
    spine: Angles = (0.0, 0.0, 0.0)
    neck: Angles = (0.0, 0.0, 0.0)
    grounded: tuple[tuple[str, ...], ...] = ()
    view: float = 0.0


@dataclass(frozen=True)
class Body:
    """Proportions relative to an average grown person; 1 is average."""

    leg: float = 1.0
    arm: float = 1.0
    torso: float = 1.0
    head: float = 1.0
    shoulders: float = 1.0
    hips: float = 1.0
    girth: float = 1.0


def _even(pitch: float, arm: Limb, leg: Limb, **rest: Any) -> Pose:
    """Give a pose whose left and right sides do the same."""
    return Pose(pitch, arm, arm, leg, leg, **rest)


_HANDS, _FEET, _ANKLES = ("right_hand", "left_hand"), ("right_toe", "left_toe"), ("right_ankle", "left_ankle")
_KNEES, _SHOULDERS = ("right_knee", "left_knee"), ("right_shoulder", "left_shoulder")
_OVERHEAD = Limb((180, 24, -90), 42)
_PRAYER = Limb((22, 18, -58), 128)
_SIDEWAYS = Limb((0, 90, 0), 4)

# Each pose with the ways to hold it; the order is that of the class sizes, the first being the most frequent.
VARIANTS: dict[str, tuple[Pose, ...]] = {
    "downward_dog": (
        _even(135, Limb((178, 6, 0)), Limb((103, 6, 0), 4, 28), neck=(8, 0, 0), grounded=(_HANDS, _FEET)),
        _even(122, Limb((174, 8, 0)), Limb((104, 8, 0), 24, 30), neck=(0, 0, 0), grounded=(_HANDS, _FEET)),
    ),
    "tree": (
        Pose(0, _OVERHEAD, _OVERHEAD, Limb((24, 48, 76), 128, -30), Limb((0, -2, 5)), view=-75),
        Pose(0, _PRAYER, _PRAYER, Limb((24, 48, 76), 128, -30), Limb((0, -2, 5)), view=-75),
    ),
    "warrior_2": (
        Pose(
            *(0, _SIDEWAYS, _SIDEWAYS, Limb((0, 64, 84), 64), Limb((0, 46, 15), 2)),
            neck=(0, 0, 75),
            grounded=(_ANKLES[:1], _ANKLES[1:]),
            view=-90,
        ),
    ),
    "cobra": (
        _even(
            *(72, Limb((12, 14, -5), 22), Limb((-18, 5, 0), 3, -82)),
            spine=(-46, 0, 0),
            neck=(-14, 0, 0),
            grounded=(_HANDS, _ANKLES),
        ),
        _even(
            *(80, Limb((20, 18, 0), 88), Limb((-10, 5, 0), 3, -82)),
            spine=(-36, 0, 0),
            neck=(-12, 0, 0),
            grounded=(_HANDS, _ANKLES),
        ),
    ),
    "chair": (
        _even(36, Limb((168, 6, 0), 5), Limb((86, 4, 0), 72, 22), view=-15),
        _even(30, Limb((118, 4, 0), 5), Limb((80, 4, 0), 72, 24), view=-15),
    ),
    "plank": (
        _even(76, Limb((76, 6, 0), 3), Limb((0, 5, 0), 2), neck=(-8, 0, 0), grounded=(_HANDS, _FEET)),
        _even(86, Limb((84, 6, 0), 88), Limb((2, 5, 0), 2), neck=(-10, 0, 0), grounded=(_HANDS, _FEET)),
    ),
    "bridge": (
        _even(
            *(-112, Limb((-30, 10, 0)), Limb((-8, 8, 0), 106, 4)),
            spine=(-8, 0, 0),
            neck=(34, 0, 0),
            grounded=(_SHOULDERS, _ANKLES),
        ),
    ),
    "boat": (
        _even(-38, Limb((56, 8, 0), 4), Limb((90, 4, 0), 4, -30), neck=(8, 0, 0), view=-10),
        _even(-34, Limb((60, 8, 0), 6), Limb((96, 5, 0), 52, -25), neck=(6, 0, 0), view=-10),
    ),
    "triangle": (
        Pose(
            *(0, _SIDEWAYS, _SIDEWAYS, Limb((0, 66, 60), 2), Limb((0, 4, 10), 2)),
            roll=32,
            spine=(0, 42, 0),
            neck=(0, 0, -50),
            grounded=(_ANKLES[:1], _ANKLES[1:]),
            view=-90,
        ),
    ),
    "child": (
        _even(
            94,
            Limb((190, 8, 0), 6),
            Limb((160, 12, 0), 158, -78),
            spine=(10, 0, 0),
            neck=(-12, 0, 0),
            grounded=(_KNEES, _ANKLES),
        ),
        _even(
            94,
            Limb((16, 10, 0), 6),
            Limb((160, 12, 0), 158, -78),
            spine=(12, 0, 0),
            neck=(-12, 0, 0),
            grounded=(_KNEES, _ANKLES),
        ),
    ),
    "camel": (
        _even(
            *(-10, Limb((-74, 12, 0), 4), Limb((-6, 6, 0), 92, -78)),
            spine=(-60, 0, 0),
            neck=(-38, 0, 0),
            grounded=(_KNEES, _ANKLES),
        ),
        _even(
            *(-4, Limb((-30, 26, 30), 78), Limb((-4, 6, 0), 92, -78)),
            spine=(-42, 0, 0),
            neck=(-30, 0, 0),
            grounded=(_KNEES, _ANKLES),
        ),
    ),
    "shoulder_stand": (_even(-164, Limb((-84, 8, 0), 84), Limb((12, 3, 0), 3, -30), neck=(76, 0, 0)),),
}

POSES: tuple[str, ...] = tuple(VARIANTS)


# Radii of an average body, in metres.
_THICK = {
    **{"hip": 0.092, "knee": 0.058, "ankle": 0.034, "toe": 0.022},
    **{"shoulder": 0.054, "elbow": 0.04, "wrist": 0.027, "hand": 0.022},
    **{"pelvis": 0.09, "waist": 0.1, "chest": 0.11, "collar": 0.05, "head": 0.1, "face": 0.075},
}


def thickness(name: str) -> float:
    """Give the body's radius in metres around a point; minus infinity for hair and eyes, which carry nobody."""
    return _THICK.get(name.rpartition("_")[2], -math.inf)


def _turn(axis: int, degrees: float) -> Array:
    """Give the right-handed rotation [3, 3] about x, y or z."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    rows = (
        ((1, 0, 0), (0, c, -s), (0, s, c)),
        ((c, 0, s), (0, 1, 0), (-s, 0, c)),
        ((c, -s, 0), (s, c, 0), (0, 0, 1)),
    )
    return np.array(rows[axis], dtype=np.float64)


def camera(yaw: float, pitch: float, roll: float) -> Array:
    """Give the rotation [3, 3] from the world to a camera that looks along -z."""
    return _turn(2, roll) @ _turn(0, pitch) @ _turn(1, yaw)


def _trunk(flex: float, lean: float, twist: float) -> Array:
    return _turn(0, lean) @ _turn(2, -flex) @ _turn(1, -twist)


def _limb(angles: Array, side: float) -> Array:
    flex, abduct, twist = angles
    return _turn(2, flex) @ _turn(0, -side * abduct) @ _turn(1, -side * twist)


def _add_limb(
    points: dict[str, Array], limb: Limb, frame: Array, where: tuple[str, float], body: Body, jitter: Array
) -> None:
    """Hang the points of an arm or leg below its root, which `points` already holds."""
    part, side = where
    name = "right" if side > 0 else "left"
    upper = frame @ _limb(np.array(limb.root) + jitter[:3], side)
    hinge = max(0.0, limb.hinge + jitter[3])
    if part == "arm":
        lower = upper @ _turn(2, hinge)
        points[f"{name}_elbow"] = points[f"{name}_shoulder"] + upper @ (0, -0.29 * body.arm, 0)
        points[f"{name}_wrist"] = points[f"{name}_elbow"] + lower @ (0, -0.25 * body.arm, 0)
        points[f"{name}_hand"] = points[f"{name}_wrist"] + lower @ (0, -0.11 * body.arm, 0)
    else:
        lower = upper @ _turn(2, -hinge)
        foot = lower @ _turn(2, limb.end + jitter[4])
        points[f"{name}_knee"] = points[f"{name}_hip"] + upper @ (0, -0.43 * body.leg, 0)
        points[f"{name}_ankle"] = points[f"{name}_knee"] + lower @ (0, -0.42 * body.leg, 0)
        points[f"{name}_toe"] = points[f"{name}_ankle"] + foot @ (0.19 * body.leg, -0.03, 0)


def skeleton(pose: Pose, body: Body, jitter: Array) -> dict[str, Array]:
    """Give the points of the figure by forward kinematics.

    Parameters
    ----------
    pose : Pose
        The joint angles.
    body : Body
        The proportions.
    jitter : ndarray of shape (28,)
        Degrees added to the angles: pelvis 2, spine 3, neck 3, then 5 for each of right arm, left arm, right leg and
        left leg.

    Returns
    -------
    dict of str to ndarray of shape (3,)
        Points in metres, the body resting on y = 0 and the middle of the figure at x = z = 0.
    """
    pelvis = _turn(0, pose.roll + jitter[0]) @ _turn(2, -pose.pitch - jitter[1])
    half = _trunk(*((np.array(pose.spine) + jitter[2:5]) / 2))
    waist, chest = pelvis @ half, pelvis @ half @ half
    skull = chest @ _trunk(*(np.array(pose.neck) + jitter[5:8]))
    points = {"pelvis": np.zeros(3)}
    points["waist"] = pelvis @ np.array((0, 0.17 * body.torso, 0))
    points["chest"] = points["waist"] + waist @ (0, 0.17 * body.torso, 0)
    points["collar"] = points["chest"] + chest @ (0, 0.18 * body.torso, 0)
    points["head"] = points["collar"] + skull @ (0.02, 0.16 + 0.04 * body.head, 0)
    for name, offset in (("face", (0.07, -0.05, 0)), ("nape", (-0.05, 0.03, 0)), ("bun", (-0.14, 0.06, 0))):
        points[name] = points["head"] + body.head * (skull @ offset)
    points["tail"] = points["head"] + body.head * (skull @ (-0.13, -0.16, 0))
    for side, name in ((1.0, "right"), (-1.0, "left")):
        points[f"{name}_eye"] = points["head"] + body.head * (skull @ (0.105, -0.005, 0.04 * side))
        points[f"{name}_shoulder"] = points["collar"] + chest @ (0, -0.02, 0.17 * side * body.shoulders)
        points[f"{name}_hip"] = points["pelvis"] + pelvis @ (0, -0.02, 0.095 * side * body.hips)
    limbs = (("arm", 1.0, pose.right_arm), ("arm", -1.0, pose.left_arm), ("leg", 1.0, pose.right_leg))
    for index, (part, side, limb) in enumerate((*limbs, ("leg", -1.0, pose.left_leg))):
        frame = chest if part == "arm" else pelvis
        _add_limb(points, limb, frame, (part, side), body, jitter[8 + 5 * index : 13 + 5 * index])
    return _ground(points, pose.grounded)


def _ground(points: dict[str, Array], grounded: tuple[tuple[str, ...], ...]) -> dict[str, Array]:
    """Tip the figure until both grounded groups are level, and set it on the floor."""
    names, cloud = list(points), np.stack(list(points.values()))
    if grounded:
        first, second = (np.mean([points[name] for name in group], axis=0) for group in grounded)
        rise, run = second[1] - first[1], math.hypot(second[0] - first[0], second[2] - first[2])
        heading = math.degrees(math.atan2(second[2] - first[2], second[0] - first[0]))
        # Turned so that the second group lies along +x, the slope is one rotation about z.
        level = _turn(1, -heading) @ _turn(2, -math.degrees(math.atan2(rise, run))) @ _turn(1, heading)
        cloud = cloud @ level.T
    lowest = min(float(point[1]) - thick for point, thick in zip(cloud, map(thickness, names), strict=True))
    cloud -= ((cloud[:, 0].min() + cloud[:, 0].max()) / 2, lowest, cloud[:, 2].mean())
    return dict(zip(names, cloud, strict=True))


@dataclass
class Scene:
    """A camera on a floor: turns metres into pixels."""

    turn: Array
    distance: float
    zoom: float = 1.0
    offset: Array = field(default_factory=lambda: np.zeros(2))

    def project(self, points: Array) -> tuple[Array, Array]:
        """Give pixels [n, 2] and nearness [n] of points [n, 3]; nearness is the pixels that a metre takes there."""
        seen = points @ self.turn.T
        scale = self.zoom / np.maximum(self.distance - seen[:, 2], 0.3)
        return seen[:, :2] * (1, -1) * scale[:, None] + self.offset, scale

    def frame(self, points: Array, rng: np.random.Generator, size: int) -> None:
        """Choose zoom and offset so that the figure fills most of the picture, or is slightly cropped."""
        flat, _ = self.project(points)
        low, high = flat.min(axis=0), flat.max(axis=0)
        self.zoom = size * rng.uniform(0.68, 0.96) / float((high - low).max() + 0.25 / self.distance)
        room = size - (high - low) * self.zoom
        shift = rng.uniform(0.2, 0.8, 2) * room + rng.normal(0, 0.02 * size, 2)
        self.offset = shift - low * self.zoom


def any_colour(rng: np.random.Generator, saturation: tuple[float, float], value: tuple[float, float]) -> Colour:
    """Give a random colour, RGB in 0..255, with saturation and value from these ranges in [0, 1]."""
    red, green, blue = colorsys.hsv_to_rgb(rng.uniform(), rng.uniform(*saturation), rng.uniform(*value))
    return (255 * red, 255 * green, 255 * blue)


def _standing_out(rng: np.random.Generator, ground: Array, value: tuple[float, float]) -> Colour:
    """Give the one of three random colours that stands out most from the background's mean colour."""
    tries = [any_colour(rng, (0.1, 1.0), value) for _ in range(3)]
    return max(tries, key=lambda colour: float(np.abs(np.array(colour) - ground).sum()))


def dim(colour: Colour, factor: float) -> Colour:
    """Give the colour with its light multiplied by `factor`."""
    return (colour[0] * factor, colour[1] * factor, colour[2] * factor)


@dataclass
class Part:
    """A convex piece of the body: the hull of balls, radii in metres, around named points; `lift` brings it nearer."""

    names: tuple[str, ...]
    radii: tuple[float, ...]
    colour: Colour
    lift: float = 0.0


def _limb_parts(body: Body, skin: Colour, arm: Colour, leg: Colour, clothed: tuple[bool, bool]) -> list[Part]:
    """Give the pieces of arms and legs; `clothed` says whether sleeves and trousers cover forearms and shins."""
    fore, shin = (arm if clothed[0] else skin), (leg if clothed[1] else skin)
    parts = []
    for side in ("right", "left"):
        for start, end, colour in (
            ("hip", "knee", leg),
            ("knee", "ankle", shin),
            ("ankle", "toe", skin),
            ("shoulder", "elbow", arm),
            ("elbow", "wrist", fore),
            ("wrist", "hand", skin),
        ):
            radii = (thickness(start) * body.girth, thickness(end) * body.girth)
            parts.append(Part((f"{side}_{start}", f"{side}_{end}"), radii, colour))
    return parts


def dress(rng: np.random.Generator, body: Body, ground: Array) -> list[Part]:
    """Dress a body: skin, hair, top and trousers, sleeves and legs of any length."""
    first, second = _SKIN[int(rng.integers(6))], _SKIN[int(rng.integers(6))]
    mix = rng.uniform(0.6, 1.0)
    red, green, blue = (mix * a + (1 - mix) * b for a, b in zip(first, second, strict=True))
    skin = (red, green, blue)
    top = _standing_out(rng, ground, (0.1, 1.0))
    legs = top if rng.uniform() < 0.2 else _standing_out(rng, ground, (0.05, 0.95))
    belly = skin if rng.uniform() < 0.15 else top
    hair = dim(_HAIR[int(rng.integers(6))], rng.uniform(0.7, 1.2))
    arm = top if rng.uniform() < 0.55 else skin
    thigh = legs if rng.uniform() < 0.85 else skin
    girth, head = body.girth, body.head
    parts = _limb_parts(body, skin, arm, thigh, (bool(rng.uniform() < 0.4), bool(rng.uniform() < 0.7)))
    parts += [
        Part(("right_hip", "left_hip", "waist"), (0.095 * girth, 0.095 * girth, 0.1 * girth), legs),
        Part(("waist", "chest"), (0.102 * girth, 0.115 * girth), belly, 0.005),
        Part(("chest", "right_shoulder", "left_shoulder"), (0.118 * girth, 0.058 * girth, 0.058 * girth), top, 0.01),
        Part(("collar", "head"), (0.05 * girth, 0.05), skin),
        Part(("head", "face"), (0.105 * head, 0.075 * head), skin, 0.01),
        Part(("right_eye",), (0.010 * head,), (35, 28, 26), 0.02),
        Part(("left_eye",), (0.010 * head,), (35, 28, 26), 0.02),
    ]
    style = rng.uniform()
    if style < 0.9:
        parts.append(Part(("nape", "head"), (0.112 * head, 0.09 * head), hair, -0.005))
    if style < 0.25:
        parts.append(Part(("nape", "bun"), (0.05 * head, 0.055 * head), hair))
    elif style < 0.6:
        parts.append(Part(("bun", "tail"), (0.05 * head, 0.03 * head), hair))
    return parts
