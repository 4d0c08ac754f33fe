"""Laws of single policies and of the layers of our own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wellai_exp.augmentation import (
    CutMix,
    HorizontalFlip,
    Light,
    MixUp,
    NoAugmentation,
    Policy,
    PoseSafe,
    RandAugment,
    Strong,
)
from wellai_exp.errors import SettingError


def photos(count: int = 4, size: int = 64) -> np.ndarray[Any, Any]:
    """Smooth random images, as photographs are."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (count, size // 8, size // 8, 3)).astype(np.uint8)
    return coarse.repeat(8, axis=1).repeat(8, axis=2)


def test_flip_view_1_is_the_mirror_image() -> None:
    images = photos()
    np.testing.assert_array_equal(HorizontalFlip().view(images, 1, list("abcd")), images[:, :, ::-1])


def test_flip_in_training_mirrors_about_half_and_changes_nothing_else() -> None:
    images = photos(1).repeat(200, axis=0)
    result = HorizontalFlip().augment(images, 1).numpy()
    same = (result == images).all(axis=(1, 2, 3))
    mirrored = (result == images[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (same ^ mirrored).all()
    assert 70 < mirrored.sum() < 130


def test_mirror_views_are_shared_and_others_are_not() -> None:
    mirrors: list[Policy] = [HorizontalFlip(), MixUp(), MixUp(alpha=1.0), CutMix()]
    assert {policy.view_key(1) for policy in mirrors} == {"mirror"}
    others: list[Policy] = [Light(), PoseSafe(), Strong(), RandAugment(), PoseSafe(strength=0.5), Light(zoom=0.2)]
    keys = {policy.view_key(1) for policy in others}
    assert len(keys) == len(others)
    assert "mirror" not in keys
    assert MixUp(flip=False).views == 1


def test_view_keys_ignore_how_many_views_there_are_and_how_a_number_is_spelled() -> None:
    assert Light(views=3).view_key(2) == Light(views=9).view_key(2)
    assert Light(rotation=5).view_key(1) == Light(rotation=5.0).view_key(1)


def test_more_views_keep_the_first_ones() -> None:
    images, keys = photos(), list("abcd")
    np.testing.assert_array_equal(PoseSafe(views=2).view(images, 1, keys), PoseSafe(views=6).view(images, 1, keys))


def test_cutmix_explains_why_it_is_not_for_the_probe() -> None:
    with pytest.raises(SettingError, match=r"^augmentation=cutmix: .*another; set augmentation=mixup.*finetune\.$"):
        CutMix().check_regime("probe")


def test_strength_may_not_carry_an_amount_past_its_bound() -> None:
    PoseSafe(rotation=15, strength=2)
    with pytest.raises(SettingError, match=r"^augmentation\.rotation=16: .*strength=2 makes it 32; set .*=15 or"):
        PoseSafe(rotation=16, strength=2)


def test_every_searched_combination_of_strengths_is_allowed() -> None:
    for strength in (0.25, 2.0):
        for rotation in (0.0, 15.0):
            for erasing in (0.0, 0.5):
                PoseSafe(strength=strength, rotation=rotation, erasing=erasing)
    for strength in (0.5, 1.5):
        Strong(strength=strength, grayscale=0.3, blur=0.5)


def test_stronger_means_further_from_the_image() -> None:
    images, keys = photos(24), [str(i) for i in range(24)]
    changes = [
        np.abs(PoseSafe(flip=False, erasing=0, strength=s).view(images, 1, keys).astype(float) - images).mean()
        for s in (0.25, 0.5, 1.0, 2.0)
    ]
    assert changes == sorted(changes)


def test_warp_at_no_strength_changes_nothing_and_flips_exactly() -> None:
    import keras

    from wellai_exp.augmentation._layers import RandomWarp

    images = photos(40).astype(np.float32)
    np.testing.assert_allclose(np.asarray(RandomWarp(flip=False)(images)), images, atol=1e-2)
    result = np.asarray(RandomWarp(flip=True, seed=1)(images))
    error = [np.abs(result - other).max(axis=(1, 2, 3)) for other in (images, images[:, :, ::-1])]
    assert (np.minimum(*error) < 0.05).all()
    assert 8 < (error[1] < 0.05).sum() < 32
    np.testing.assert_array_equal(np.asarray(RandomWarp(rotation=30.0)(images, training=False)), images)
    assert isinstance(RandomWarp(), keras.layers.Layer)


@pytest.mark.parametrize("shape", [(61, 61), (80, 48)])
def test_warp_rotates_as_keras_does(shape: tuple[int, int]) -> None:
    import keras

    from wellai_exp.augmentation._layers import RandomWarp

    class Always(RandomWarp):
        def _draw(self, images: Any, count: int) -> list[Any]:
            # Of mirror, rotation, zoom, shifts, shear and tilts, the largest rotation and nothing else.
            numbers = np.zeros((len(images), count), dtype=np.float32)
            numbers[:, 1] = 1.0
            return [keras.ops.convert_to_tensor(numbers[:, i]) for i in range(count)]

    rng = np.random.default_rng(2)
    images = rng.uniform(0, 255, (2, *shape, 3)).astype(np.float32)
    reference = keras.layers.RandomRotation((20 / 360, 20 / 360), fill_mode="nearest")(images, training=True)
    ours = Always(flip=False, rotation=20.0)(images)
    np.testing.assert_allclose(np.asarray(ours), np.asarray(reference), atol=0.5)


def test_warp_of_whole_grey_levels_is_the_warp_of_floats() -> None:
    from wellai_exp.augmentation._layers import RandomWarp

    images = photos(12, 80)[:, :64]
    settings: dict[str, Any] = {"rotation": 20.0, "zoom": 0.3, "shift": 0.1, "shear": 0.1, "perspective": 0.1}
    whole, exact = (
        np.asarray(RandomWarp(**settings, seed=5)(given)).astype(float) for given in (images, images.astype(np.float32))
    )
    # cv2 rounds, and places a pixel to a fraction of one: neighbours differ by up to 255 here.
    assert np.abs(whole - exact).mean() < 0.6
    assert np.abs(whole - exact).max() < 10
    assert np.abs(exact - images).mean() > 20


def test_warp_mirrors_whole_grey_levels_exactly() -> None:
    from wellai_exp.augmentation._layers import RandomWarp

    images = photos(1)[:, :, :40].repeat(40, axis=0)
    result = np.asarray(RandomWarp(seed=1)(images))
    mirrored = (result == images[:, :, ::-1]).all(axis=(1, 2, 3))
    assert ((result == images).all(axis=(1, 2, 3)) ^ mirrored).all()
    assert 8 < mirrored.sum() < 32


@pytest.mark.parametrize(
    "policy", [Light(), PoseSafe(erasing=1.0), Strong(blur=1.0), RandAugment()], ids=lambda p: p.name
)
def test_each_image_of_a_batch_is_changed_by_itself(policy: Policy) -> None:
    images = photos(1).repeat(16, axis=0)
    alike = policy.augment(images, 3).numpy()
    assert len({image.tobytes() for image in alike}) > 12
    images[1:] = 255 - images[1:]
    np.testing.assert_allclose(policy.augment(images, 3).numpy()[0], alike[0], atol=1e-3)


def test_colour_at_no_strength_changes_nothing_and_keeps_greys_grey() -> None:
    from wellai_exp.augmentation._layers import RandomColour

    images = photos(16).astype(np.float32)
    np.testing.assert_allclose(np.asarray(RandomColour()(images)), images, atol=0.01)
    grey = images[..., :1].repeat(3, axis=-1)
    turned = np.asarray(RandomColour(saturation=0.5, hue=0.2, seed=3)(grey))
    np.testing.assert_allclose(turned, grey, atol=0.05)
    coloured = np.asarray(RandomColour(hue=0.2, seed=3)(images))
    assert np.abs(coloured - images).mean() > 5


def test_erase_hides_the_part_asked_for_as_often_as_asked() -> None:
    from wellai_exp.augmentation._layers import GREY, RandomErase

    images = np.zeros((400, 64, 64, 3), dtype=np.float32)
    result = np.asarray(RandomErase(0.3, 0.2, seed=4)(images))
    part = (result == np.array(GREY, dtype=np.float32)).all(axis=-1).mean(axis=(1, 2))
    used = part > 0
    assert 0.22 < used.mean() < 0.38
    assert part[used].min() > 0.2 * 0.2 * 0.8
    assert part[used].max() < 0.2 * 1.15
    assert set(np.unique(result)) == {0.0, *GREY}


@pytest.mark.parametrize("magnitude", [0.1, 1.0])
def test_rand_augment_turns_no_further_than_its_bound(magnitude: float) -> None:
    layer = RandAugment(magnitude=magnitude, rotation=30.0, flip=False).layers()[0]
    images = np.zeros((500, 16, 16, 3), dtype=np.float32)
    angles = np.asarray(layer.random_rotation.get_random_transformation(images)["angle"])
    assert np.abs(angles).max() <= 30.0 * magnitude
    assert angles.min() < -20.0 * magnitude < 20.0 * magnitude < angles.max()


def test_rand_augment_chooses_operations_for_each_image() -> None:
    images = photos(1).repeat(40, axis=0)
    result = RandAugment(operations=1, flip=False).augment(images, 2).numpy()
    assert len({image.tobytes() for image in result}) > 15


def test_blur_and_sharpness_leave_a_plain_image_plain_to_its_edges() -> None:
    from wellai_exp.augmentation._layers import EdgeBlur, EdgeSharpness

    plain = np.full((3, 32, 32, 3), 180.0, dtype=np.float32)
    blur = EdgeBlur((1.0, 1.0), kernel_size=7, sigma=(1.0, 1.5), value_range=(0, 255))
    for layer in (blur, EdgeSharpness(1.0, value_range=(0, 255))):
        np.testing.assert_allclose(np.asarray(layer(plain, training=True)), plain, atol=0.1)


def test_augment_runs_inside_tf_data_and_is_traced_once() -> None:
    import tensorflow as tf

    from wellai_exp.augmentation._policy import _traced_batch

    policy = PoseSafe(strength=0.9)
    before = _traced_batch.cache_info().misses
    steps = tf.data.Dataset.from_tensor_slices(photos(12)).batch(5).enumerate()
    batches = list(steps.map(lambda step, images: policy.augment(images, step)).as_numpy_iterator())
    assert [len(batch) for batch in batches] == [5, 5, 2]
    # The graph inside the pipeline and a direct call give the same pixels for the same seed.
    np.testing.assert_allclose(batches[1], policy.augment(photos(12)[5:10], 1).numpy(), atol=1e-3)
    assert _traced_batch.cache_info().misses == before + 1


def test_a_seed_generator_moves_on_and_a_seed_stays() -> None:
    import keras

    policy, images = Light(), photos()
    generator = keras.random.SeedGenerator(3)
    first, second = policy.augment(images, generator).numpy(), policy.augment(images, generator).numpy()
    assert (first != second).any()
    np.testing.assert_array_equal(policy.augment(images, 2**40 + 1), policy.augment(images, 2**40 + 1))
    assert (policy.augment(images, 2**40 + 1).numpy() != policy.augment(images, 1).numpy()).any()


def test_no_augmentation_gives_the_images_back() -> None:
    np.testing.assert_array_equal(NoAugmentation().augment(photos(), 1).numpy(), photos().astype(np.float32))


ASSETS = os.environ.get("WELLAI_ASSETS")


@pytest.mark.skipif(not ASSETS, reason="WELLAI_ASSETS does not name the folder of real photographs")
def test_real_photographs_keep_most_of_their_light_and_colour() -> None:
    import cv2

    files = sorted(Path(ASSETS or "", "data", "yoga62").glob("*/*"))[::200][:12]
    decoded = [cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR) for path in files]
    images = np.stack([cv2.resize(image, (160, 160))[..., ::-1] for image in decoded])
    keys = [path.name for path in files]
    for index in (1, 2, 3):
        view = PoseSafe().view(images, index, keys).astype(float)
        assert np.abs(view.mean(axis=(1, 2, 3)) - images.mean(axis=(1, 2, 3))).max() < 60
        assert (view.std(axis=(1, 2, 3)) / images.std(axis=(1, 2, 3))).min() > 0.5
