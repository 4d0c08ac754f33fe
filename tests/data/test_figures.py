from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from wellai_exp.data._figures import class_sizes, draw_demo, render
from wellai_exp.data._poses import POSES, VARIANTS, Array, Body, Pose, skeleton, thickness
from wellai_exp.errors import DataError, SettingError, StoreError

_BONES = [
    (f"{side}_{a}", f"{side}_{b}")
    for side in ("right", "left")
    for a, b in (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"), ("wrist", "hand"))
]


def _at_rest(pose: Pose) -> dict[str, Array]:
    return skeleton(pose, Body(), np.zeros(28))


def _pictures(root: Path) -> dict[str, str]:
    paths = sorted(root.glob("*/*.jpg"))
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


@pytest.mark.parametrize("pose", POSES)
def test_picture_follows_from_pose_and_seed(pose: str) -> None:
    picture = render(pose, 3)
    assert picture.shape == (128, 128, 3)
    assert picture.dtype == np.uint8
    np.testing.assert_array_equal(picture, render(pose, 3))
    assert np.abs(picture.astype(int) - render(pose, 4)).mean() > 5


def test_picture_does_not_depend_on_what_was_drawn_before() -> None:
    first = render("tree", 0, 48)
    render("boat", 1, 48)
    np.random.default_rng().random(10)
    np.testing.assert_array_equal(first, render("tree", 0, 48))


@pytest.mark.parametrize("size", [16, 63, 96, 200])
def test_picture_has_the_size_asked_for(size: int) -> None:
    assert render("camel", 0, size).shape == (size, size, 3)


def test_sizes_show_the_same_picture() -> None:
    large, small = render("triangle", 5, 192), render("triangle", 5, 96)
    shrunk = cv2.resize(large, (96, 96), interpolation=cv2.INTER_AREA)
    # Only texture and noise, whose grain is a pixel's, may differ.
    assert np.corrcoef(shrunk.ravel(), small.ravel())[0, 1] > 0.8


def test_unknown_pose_and_tiny_size_are_refused() -> None:
    with pytest.raises(SettingError, match=r"pose=lotus.*downward_dog"):
        render("lotus", 0)
    with pytest.raises(SettingError, match=r"data\.size=8"):
        render("tree", 0, 8)


@given(
    pose=st.sampled_from(POSES),
    seed=st.integers(0, 10_000),
    leg=st.floats(0.8, 1.2),
    arm=st.floats(0.8, 1.2),
)
@settings(max_examples=60, deadline=None)
def test_joints_turn_but_bones_keep_their_length(pose: str, seed: int, leg: float, arm: float) -> None:
    jitter = np.random.default_rng(seed).normal(0, 30, 28)
    for variant in VARIANTS[pose]:
        body = Body(leg=leg, arm=arm)
        points = skeleton(variant, body, jitter)
        lengths = [float(np.linalg.norm(points[a] - points[b])) for a, b in _BONES]
        expected = np.array([0.43 * leg, 0.42 * leg, 0.29 * arm, 0.25 * arm, 0.11 * arm] * 2)
        np.testing.assert_allclose(lengths, expected, rtol=1e-9)
        assert min(point[1] - thickness(name) for name, point in points.items()) == pytest.approx(0, abs=1e-12)


@given(pose=st.sampled_from(POSES), seed=st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_what_rests_on_the_floor_is_level(pose: str, seed: int) -> None:
    jitter = np.random.default_rng(seed).normal(0, 8, 28)
    for variant in VARIANTS[pose]:
        points = skeleton(variant, Body(), jitter)
        heights = [np.mean([points[name][1] for name in group]) for group in variant.grounded]
        assert np.ptp(heights or [0.0]) < 1e-9


def test_poses_look_like_their_names() -> None:
    rest = {name: [_at_rest(variant) for variant in variants] for name, variants in VARIANTS.items()}
    assert all(p["right_hip"][1] == max(point[1] for point in p.values()) for p in rest["downward_dog"])
    assert all(p["head"][1] > p["pelvis"][1] + 0.5 for p in (*rest["tree"], *rest["warrior_2"]))
    assert all(p["left_toe"][1] > p["head"][1] + 0.8 for p in rest["shoulder_stand"])
    assert all(p["left_ankle"][1] > p["pelvis"][1] < p["head"][1] for p in rest["boat"])
    assert all(p["right_hip"][1] > p["collar"][1] and p["right_knee"][1] > p["right_ankle"][1] for p in rest["bridge"])
    assert all(p["head"][1] > p["pelvis"][1] + 0.2 and p["pelvis"][1] < 0.35 for p in rest["cobra"])
    assert all(max(point[1] for point in p.values()) < 0.45 for p in rest["child"])
    assert all(p["head"][1] - p["right_ankle"][1] < 0.75 and p["pelvis"][1] > 0.25 for p in rest["plank"])
    assert all(abs(p["right_hand"][1] - p["left_hand"][1]) < 0.1 for p in rest["warrior_2"])
    assert all(abs(p["right_hand"][1] - p["left_hand"][1]) > 1.0 for p in rest["triangle"])


@given(n_images=st.integers(1, 20_000), n_classes=st.integers(1, 100), ratio=st.floats(1, 200))
def test_sizes_follow_the_exponential_profile(n_images: int, n_classes: int, ratio: float) -> None:
    shares = np.array([ratio ** (-i / max(n_classes - 1, 1)) for i in range(n_classes)])
    exact = n_images * shares / shares.sum()
    assume(exact[-1] >= 1.001)
    sizes = class_sizes(n_images, n_classes, ratio)
    assert sum(sizes) == n_images
    assert sizes == sorted(sizes, reverse=True)
    assert np.abs(np.array(sizes) - exact).max() < 1


def test_demo_sizes_are_twenty_to_one() -> None:
    sizes = class_sizes(1500, 12, 20)
    assert max(sizes) / min(sizes) == pytest.approx(20, rel=0.05)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((20, 12, 20.0), r"data\.n_images=20.*set data\.n_images=\d+"),
        ((100, 0, 20.0), r"data\.n_classes=0"),
        ((100, 12, 0.5), r"data\.ratio=0\.5"),
        ((100, 12, float("nan")), r"data\.ratio=nan"),
    ],
)
def test_impossible_sizes_are_refused(arguments: tuple[int, int, float], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        class_sizes(*arguments)


def test_the_remedy_for_too_few_images_works() -> None:
    with pytest.raises(SettingError) as caught:
        class_sizes(20, 12, 20.0)
    least = int(str(caught.value).split("set data.n_images=")[1].split()[0])
    assert min(class_sizes(least, 12, 20.0)) >= 1


def test_demo_is_drawn_once_with_the_same_bytes(tmp_path: Path) -> None:
    root = draw_demo(tmp_path / "sub" / "a", n_images=60, ratio=3, size=32)
    first = _pictures(root)
    assert {path.name for path in root.iterdir()} == {*POSES, "demo.json"}
    assert [sum(name.startswith(f"{pose}/") for name in first) for pose in POSES] == class_sizes(60, 12, 3)
    assert len(set(first.values())) == 60
    picture = cv2.imdecode(np.frombuffer((root / "tree/0000.jpg").read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape == (32, 32, 3)
    before = (root / "tree/0000.jpg").stat().st_mtime_ns
    draw_demo(root, n_images=60, ratio=3, size=32)
    assert (root / "tree/0000.jpg").stat().st_mtime_ns == before
    assert _pictures(draw_demo(tmp_path / "b", n_images=60, ratio=3, size=32)) == first
    assert _pictures(draw_demo(root, n_images=60, ratio=3, size=32, seed=1)) != first
    assert json.loads((root / "demo.json").read_text())["seed"] == 1


@pytest.mark.parametrize("damage", ["missing", "changed", "extra", "record", "older"])
def test_a_damaged_set_is_drawn_anew(tmp_path: Path, damage: str) -> None:
    root = draw_demo(tmp_path / "demo", n_images=24, ratio=2, size=16)
    good = _pictures(root)
    picture, record = root / "tree/0000.jpg", root / "demo.json"
    if damage == "missing":
        picture.unlink()
    elif damage == "changed":
        picture.write_bytes(picture.read_bytes()[:-20])
    elif damage == "extra":
        (root / "tree/9999.jpg").write_bytes(picture.read_bytes())
    elif damage == "record":
        record.write_text(record.read_text()[:15])
    else:
        record.write_text(record.read_text().replace('"drawing": ', '"drawing": -'))
    draw_demo(root, n_images=24, ratio=2, size=16)
    assert _pictures(root) == good
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["demo"]


def test_a_killed_drawing_leaves_nothing_and_is_drawn_anew(tmp_path: Path) -> None:
    root, beside = tmp_path / "demo", tmp_path / ".demo.drawing"
    code = (
        "from pathlib import Path; from wellai_exp.data._figures import draw_demo;"
        f"draw_demo(Path({str(root)!r}), n_images=4000, ratio=2, size=64)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL) as drawing:
        deadline = time.monotonic() + 60
        while len(list(beside.glob("*/*.jpg"))) < 5 and time.monotonic() < deadline:
            time.sleep(0.02)
        drawing.send_signal(signal.SIGKILL)
    assert not root.exists()
    assert beside.exists()
    draw_demo(root, n_images=24, ratio=2, size=16)
    assert len(_pictures(root)) == 24
    assert not beside.exists()


def test_files_of_others_are_never_replaced(tmp_path: Path) -> None:
    mine = tmp_path / "photos" / "tree" / "0000.jpg"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    with pytest.raises(DataError, match=r"data\.root=.*set data\.root"):
        draw_demo(tmp_path / "photos", n_images=24, ratio=2, size=16)
    root = draw_demo(tmp_path / "demo", n_images=24, ratio=2, size=16)
    (root / "notes.txt").write_text("keep")
    with pytest.raises(DataError, match=r"notes\.txt"):
        draw_demo(root, n_images=24, ratio=2, size=16, seed=1)
    assert mine.read_bytes() == b"mine"
    assert (root / "notes.txt").read_text() == "keep"


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"data\.root="):
        draw_demo(tmp_path / "file" / "demo", n_images=24, ratio=2, size=16)


def test_a_linear_look_at_the_pixels_fails() -> None:
    from sklearn.linear_model import RidgeClassifier
    from sklearn.metrics import average_precision_score

    sizes = class_sizes(400, len(POSES), 4)
    labels = np.repeat(np.arange(len(POSES)), sizes)
    pixels = np.stack([render(POSES[label], seed, 32).ravel() / 255 for seed, label in enumerate(labels)])
    held_out = np.arange(len(labels)) % 5 == 0
    probe = RidgeClassifier(alpha=1e3, class_weight="balanced").fit(pixels[~held_out], labels[~held_out])
    truth = np.eye(len(POSES))[labels[held_out]]
    assert average_precision_score(truth, probe.decision_function(pixels[held_out]), average="macro") < 0.4
