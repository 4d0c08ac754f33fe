"""What every augmentation policy promises."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import wellai_exp.augmentation as room
from wellai_exp.augmentation import Policy
from wellai_exp.errors import SettingError

CONF = Path(__file__).resolve().parents[2] / "conf" / "augmentation"
OPTIONS = sorted(path.stem for path in CONF.glob("*.yaml"))
SIZE = 48


def settings_of(option: str) -> tuple[type[Policy], dict[str, Any], dict[str, str]]:
    settings = yaml.safe_load((CONF / f"{option}.yaml").read_text())
    space = settings.pop("_space_", {})
    module, _, name = settings.pop("_target_").rpartition(".")
    assert module == room.__name__
    return getattr(room, name), settings, space


def policy_of(option: str) -> Policy:
    kind, settings, _ = settings_of(option)
    return kind(**settings)


@pytest.fixture(params=OPTIONS)
def option(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def policy(option: str) -> Policy:
    return policy_of(option)


def upright_images(count: int) -> np.ndarray[Any, Any]:
    """Plain above, chequered below, each image in its own shades: no change of colour hides which way is up."""
    shades = np.linspace(30, 60, count, dtype=np.uint8)[:, None, None]
    board = (np.indices((SIZE, SIZE)).sum(axis=0) // 4 % 2 * 80).astype(np.uint8)
    below = (np.arange(SIZE) >= SIZE // 2)[:, None]
    image = np.where(below, board + shades, 2 * shades)
    return np.stack([image, image + 10, image // 2], axis=-1).astype(np.uint8)


def test_there_is_an_option_for_each_exported_member() -> None:
    members = {value for value in vars(room).values() if inspect.isclass(value) and issubclass(value, Policy)}
    assert {settings_of(name)[0] for name in OPTIONS} == members - {Policy}


def test_option_spells_out_the_defaults_and_searches_only_its_own_arguments(option: str) -> None:
    kind, settings, space = settings_of(option)
    parameters = inspect.signature(kind).parameters
    assert settings == {name: parameter.default for name, parameter in parameters.items()}
    assert set(space) <= set(settings)
    assert kind.name == option


def test_policy_is_frozen_hashable_and_equal_by_settings(option: str, policy: Policy) -> None:
    assert hash(policy) == hash(policy_of(option))
    assert policy == policy_of(option)
    with pytest.raises(AttributeError):
        policy.views = 9


def test_regimes_are_known_and_checked(policy: Policy) -> None:
    assert policy.regimes <= {"probe", "finetune", "representation"}
    for regime in policy.regimes:
        policy.check_regime(regime)
    with pytest.raises(SettingError, match=r"^regime=warmup: "):
        policy.check_regime("warmup")


def test_augment_keeps_shape_and_range_and_gives_float32(policy: Policy) -> None:
    images = upright_images(6)
    images[0] = 0
    images[1] = 255
    for given in (images, images.astype(np.float32)):
        result = policy.augment(given, 5).numpy()
        assert result.shape == images.shape
        assert result.dtype == np.float32
        assert np.isfinite(result).all()
        assert result.min() >= 0
        assert result.max() <= 255


def test_augment_is_a_function_of_its_seed(policy: Policy) -> None:
    images = upright_images(8)
    first = policy.augment(images, 7).numpy()
    np.testing.assert_array_equal(first, policy.augment(images, 7).numpy())
    assert (first != policy.augment(images, 8).numpy()).any() == bool(policy.layers())


def test_layers_are_fresh_and_run_on_single_images(policy: Policy) -> None:
    layers = policy.layers()
    assert not set(map(id, layers)) & set(map(id, policy.layers()))
    image: Any = upright_images(1).astype(np.float32)
    for layer in layers:
        image = layer(image, training=True)
        assert tuple(image.shape) == (1, SIZE, SIZE, 3)


def test_nothing_turns_upside_down(policy: Policy) -> None:
    images = upright_images(1).repeat(64, axis=0)
    for result in (policy.augment(images, 11).numpy(), *_all_views(policy, images)):
        steps = np.abs(np.diff(result.astype(float), axis=2)).mean(axis=(2, 3))
        above, below = steps[:, : SIZE // 3].mean(axis=1), steps[:, SIZE * 2 // 3 :].mean(axis=1)
        # Equal where two operations on colours in a row leave one shade only.
        assert (below >= above).all()
        assert (below > above).mean() > 0.9


def _all_views(policy: Policy, images: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    keys = [f"{i:04d}" for i in range(len(images))]
    return [policy.view(images, index, keys) for index in range(policy.views)]


def test_view_0_is_the_image_and_views_are_uint8(policy: Policy) -> None:
    images = upright_images(5)
    views = _all_views(policy, images)
    np.testing.assert_array_equal(views[0], images)
    for view in views:
        assert view.dtype == np.uint8
        assert view.shape == images.shape
    for view in views[1:]:
        assert (view != images).any()


def test_views_depend_on_the_image_alone(policy: Policy) -> None:
    images = upright_images(7)
    keys = [f"key{i}" for i in range(7)]
    order = np.random.default_rng(0).permutation(7)
    for index in range(policy.views):
        whole = policy.view(images, index, keys)
        shuffled = policy.view(images[order], index, [keys[i] for i in order])
        np.testing.assert_array_equal(shuffled, whole[order])
        alone = policy.view(images[3:4], index, keys[3:4])
        np.testing.assert_array_equal(alone[0], whole[3])
        assert len(policy.view(images[:0], index, [])) == 0


def test_view_keys_tell_views_apart(policy: Policy) -> None:
    keys = [policy.view_key(index) for index in range(policy.views)]
    assert keys[0] == "original"
    assert len(set(keys)) == policy.views
    for index in (-1, policy.views):
        with pytest.raises(ValueError, match=f"augmentation={policy.name} has views 0 to"):
            policy.view_key(index)
        with pytest.raises(ValueError, match=f"augmentation={policy.name} has views 0 to"):
            policy.view(upright_images(1), index, ["a"])


def test_view_refuses_what_does_not_fit(policy: Policy) -> None:
    images = upright_images(2)
    with pytest.raises(ValueError, match="2 images came with 1 keys"):
        policy.view(images, 0, ["a"])
    with pytest.raises(ValueError, match="uint8"):
        policy.view(images.astype(np.float32), 0, ["a", "b"])
    with pytest.raises(ValueError, match=r"\[N, H, W, 3\]"):
        policy.view(images[0], 0, ["a", "b"])


def test_mix_keeps_targets_distributions_and_padding_apart(policy: Policy) -> None:
    rng = np.random.default_rng(1)
    x = rng.uniform(0, 255, (2, 6, 10, 12, 3)).astype(np.float32)
    targets = np.eye(4, dtype=np.float32)[rng.integers(0, 4, (2, 6))]
    weights = np.ones((2, 6), dtype=np.float32)
    weights[:, 4:] = 0
    x[:, 4:] = 1e6
    mixed, mixed_targets, mixed_weights = (np.asarray(value) for value in policy.mix(x, targets, weights, 3))
    assert mixed.shape == x.shape
    np.testing.assert_allclose(mixed_targets.sum(axis=-1), 1.0, atol=1e-6)
    np.testing.assert_allclose(mixed_weights, weights, atol=1e-6)
    np.testing.assert_array_equal(mixed[:, 4:], x[:, 4:])
    np.testing.assert_array_equal(mixed_targets[:, 4:], targets[:, 4:])
    assert mixed[:, :4].max() <= 255.01
    assert (mixed[:, :4] != x[:, :4]).any() == policy.mixes_labels


_BAD: list[tuple[str, str, Any]] = [
    (name, setting, bad)
    for name in OPTIONS
    for setting, default in settings_of(name)[1].items()
    for bad in (
        ("yes", None)
        if isinstance(default, bool)
        else (0, 1.5, "4", True)
        if isinstance(default, int)
        else (-0.1, float("nan"), 1e9, "much", True)
    )
]


@pytest.mark.parametrize(("name", "setting", "bad"), _BAD)
def test_bad_settings_are_refused_by_name(name: str, setting: str, bad: Any) -> None:
    kind = settings_of(name)[0]
    with pytest.raises(SettingError) as caught:
        kind(**{setting: bad})
    assert caught.value.setting == f"augmentation.{setting}"
    assert str(caught.value).startswith(f"augmentation.{setting}={bad}: ")
    assert f"set augmentation.{setting}=" in str(caught.value)


_DIGEST = """
import hashlib, sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from test_augmentation_contract import OPTIONS, policy_of, upright_images
images = upright_images(4)
for name in OPTIONS:
    policy = policy_of(name)
    views = [policy.view(images, i, list("abcd")).tobytes() for i in range(policy.views)]
    keys = [policy.view_key(i) for i in range(policy.views)]
    print("digest", name, *keys, hashlib.sha256(b"".join(views)).hexdigest())
"""


def test_views_are_the_same_in_every_process() -> None:
    def run(hash_seed: str) -> list[str]:
        # -c with a changed hash seed and other global seeds: neither may reach the pixels.
        done = subprocess.run(
            [sys.executable, "-c", _DIGEST, str(Path(__file__).parent)],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": hash_seed, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(CONF.parents[1])},
        )
        return [line for line in done.stdout.splitlines() if line.startswith("digest")]

    images = upright_images(4)
    here = [
        " ".join(
            [
                "digest",
                name,
                *(policy_of(name).view_key(i) for i in range(policy_of(name).views)),
                _sha([policy_of(name).view(images, i, list("abcd")) for i in range(policy_of(name).views)]),
            ]
        )
        for name in OPTIONS
    ]
    assert run("1") == here


def _sha(views: list[np.ndarray[Any, Any]]) -> str:
    import hashlib

    return hashlib.sha256(b"".join(view.tobytes() for view in views)).hexdigest()


def test_importing_the_room_loads_no_tensorflow() -> None:
    code = "import sys, wellai_exp.augmentation; print({'keras', 'tensorflow', 'sklearn'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=CONF.parents[1])
    assert done.stdout.strip() == "set()"
