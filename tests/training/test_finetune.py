"""Fine-tuning: the same result however often it was cut off, and nothing that is no number ever wins."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from short_training import CHOICES, SHORT, CutOffError, Listener, pretrained

from wellai_exp import stopping
from wellai_exp.augmentation import CutMix, NoAugmentation
from wellai_exp.errors import SettingError, StoreError, TrialFailed
from wellai_exp.imbalance import (
    BalancedSoftmax,
    ClassBalancedBatches,
    ClassWeight,
    LogitAdjustment,
    RandomOver,
    Smote,
    Strategy,
    TauNorm,
)
from wellai_exp.models import CosineHead, LinearHead, MLPHead, SmallConvNet
from wellai_exp.training import (
    AdamW,
    ContrastiveWarmUp,
    Decoupled,
    EpochRecord,
    FineTune,
    FineTuneTask,
    Shared,
    Teacher,
    measure_input_pipeline,
)
from wellai_exp.training._loop import Training


def test_the_first_head_is_no_surer_than_the_targets_that_follow(
    make_shared: Callable[[], Shared], tmp_path: Path
) -> None:
    """Else the first epoch unlearns that, at the features' cost."""
    shared, choices = make_shared(), replace(CHOICES, backbone=pretrained(tmp_path))
    train, held_out = shared.manifest.fold_rows(0)
    pixels = shared.pixels(32, "stretch").gather(train)

    def sureness(label_smoothing: float) -> float:
        settings = replace(SHORT, label_smoothing=label_smoothing)
        training = Training(shared, settings, choices, train, held_out, seed=0)
        network = training._network(32)
        network.arrays = training._begin()
        return float(network.fitted_head(training.counts).probabilities(network.features(pixels)).max(axis=1).mean())

    assert sureness(0.5) < sureness(0.0) - 0.1
    assert sureness(0.5) < 0.7


def without_times(record: EpochRecord) -> EpochRecord:
    return replace(record, seconds=0.0, images_per_second=0.0)


@pytest.mark.parametrize("sizes", [(), (32, 48)])
def test_a_training_that_is_cut_off_goes_on_to_the_same_result(
    make_shared: Callable[[], Shared], sizes: tuple[int, ...]
) -> None:
    settings = replace(SHORT, sizes=sizes, dropout=0.2)
    choices = replace(CHOICES, backbone=SmallConvNet(size=48 if sizes else 32, width=8))
    whole, listener = settings.task(make_shared()), Listener()
    expected = whole.cross_validate(choices, listener)
    shared = make_shared()
    for epoch in (1, 2):
        with pytest.raises(CutOffError):
            settings.task(shared).cross_validate(choices, Listener(last=epoch))
        # Another process has no traced networks.
        shared._networks.clear()
    again = Listener()
    result = settings.task(shared).cross_validate(choices, again)
    assert [without_times(record) for record in again.heard] == [without_times(record) for record in listener.heard]
    assert result == expected
    assert again.steps < listener.steps


class Stopped(Listener):
    """Gets a signal at one of the looks at a loss."""

    def __init__(self, look: int) -> None:
        super().__init__()
        self._look = look

    def step(self, done: int, steps: int, loss: float, images_per_second: float) -> None:
        super().step(done, steps, loss, images_per_second)
        if self.steps == self._look:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture
def _handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    stopping.listen()
    yield
    stopping.listen()
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_handlers")
def test_a_signal_keeps_the_epoch_that_it_ends(make_shared: Callable[[], Shared]) -> None:
    settings = replace(SHORT, dropout=0.2)
    listener = Listener()
    expected = settings.task(make_shared()).cross_validate(CHOICES, listener)
    shared = make_shared()
    # After the first step of the first epoch, and after the last one of the epoch that goes on from there.
    for look, losses in ((1, 1), (1, None)):
        with pytest.raises(stopping.Terminated):
            settings.task(shared).cross_validate(CHOICES, Stopped(look))
        stopping.listen()
        shared._networks.clear()
        (card,) = (shared.store / "trainings").glob("*/checkpoint.json")
        kept = json.loads(card.read_text())["losses"]
        assert len(kept) == losses if losses else len(kept) > 1
    again = Listener()
    result = settings.task(shared).cross_validate(CHOICES, again)
    assert [without_times(record) for record in again.heard] == [without_times(record) for record in listener.heard]
    assert result == expected


def test_a_finished_training_is_not_done_again(make_shared: Callable[[], Shared]) -> None:
    shared, again = make_shared(), Listener()
    first = SHORT.task(shared).cross_validate(CHOICES)
    assert SHORT.task(shared).cross_validate(CHOICES, again) == first
    assert again.steps == 0
    assert [record.epoch for record in again.heard] == [1, 2, 3]


def test_a_damaged_checkpoint_is_noticed_and_the_training_begins_anew(
    make_shared: Callable[[], Shared], caplog: pytest.LogCaptureFixture
) -> None:
    shared = make_shared()
    expected = SHORT.task(shared).cross_validate(CHOICES)
    (archive,) = (shared.store / "trainings").glob("*/epoch-*.npz")
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 1
    archive.write_bytes(bytes(data))
    again = Listener()
    with caplog.at_level(logging.WARNING):
        assert SHORT.task(shared).cross_validate(CHOICES, again) == expected
    assert "is damaged" in caplog.text
    assert again.steps > 0


@pytest.mark.parametrize("damage", ["cut", "flipped", "swapped", "gone"])
def test_damaged_weights_are_written_again_from_the_checkpoint(
    make_shared: Callable[[], Shared], damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    shared, task = make_shared(), replace(SHORT, epochs=1)
    first = task.task(shared).fit(CHOICES)
    (weights,) = (shared.store / "trainings").glob("*/trunk.weights.h5")
    whole = weights.read_bytes()
    other = first.backbone.build()
    other.set_weights([weight * 0.5 for weight in other.get_weights()])
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    if damage == "swapped":
        other.save_weights(weights)
    elif damage == "gone":
        weights.unlink()
    else:
        weights.write_bytes(whole[:-100] if damage == "cut" else bytes(flipped))
    with pytest.raises(StoreError, match="is not as the training wrote it"):
        first.backbone.build()
    again = Listener()
    np.testing.assert_array_equal(task.task(shared).fit(CHOICES, again).probabilities, first.probabilities)
    assert again.steps == 0
    assert "written again from the checkpoint" in caplog.text


def test_the_checkpoint_of_another_training_and_a_changed_card_are_not_taken(
    make_shared: Callable[[], Shared], caplog: pytest.LogCaptureFixture
) -> None:
    shared, task = make_shared(), replace(SHORT, epochs=1)
    expected = task.task(shared).cross_validate(CHOICES)
    (mine,) = (shared.store / "trainings").iterdir()
    task.task(shared).cross_validate(CHOICES, seed=1)
    (other,) = set((shared.store / "trainings").iterdir()) - {mine}
    shutil.rmtree(mine)
    shutil.copytree(other, mine)
    assert task.task(shared).cross_validate(CHOICES) == expected
    assert f"it is of the training {other.name}" in caplog.text
    caplog.clear()
    card = mine / "checkpoint.json"
    card.write_text(card.read_text().replace('"accuracy": 0.', '"accuracy": 1.'))
    assert task.task(shared).cross_validate(CHOICES) == expected
    assert "it is not as it was written" in caplog.text


def test_a_loss_that_is_no_number_fails_the_trial_with_its_epoch_and_rate(make_shared: Callable[[], Shared]) -> None:
    wild = replace(CHOICES, optimizer=AdamW(learning_rate=1e30, clip_norm=None, schedule="constant", warm_up=0.0))
    with pytest.raises(TrialFailed, match=r"loss was (nan|inf) in epoch 1 at a learning rate of 1e\+30"):
        SHORT.task(make_shared()).cross_validate(wild)


@pytest.mark.parametrize(
    "strategy",
    [ClassWeight(), RandomOver(), ClassBalancedBatches(), BalancedSoftmax(), LogitAdjustment(), TauNorm()],
    ids=lambda strategy: strategy.name,
)
def test_every_kind_of_strategy_trains(make_shared: Callable[[], Shared], strategy: Strategy) -> None:
    task = FineTune(epochs=1, batch_size=16).task(make_shared())
    metrics = task.cross_validate(replace(CHOICES, strategy=strategy)).metrics
    assert 0.0 < metrics["auc_pr_macro_mean"] <= 1.0


@pytest.mark.parametrize(
    "setting",
    [
        pytest.param({"precision": "mixed_bfloat16"}, id="bfloat16"),
        pytest.param({"xla": "on"}, id="xla", marks=pytest.mark.slow),
    ],
)
def test_what_a_gpu_would_use_learns_about_the_same(
    make_shared: Callable[[], Shared], tmp_path: Path, setting: dict[str, str]
) -> None:
    # XLA cannot compile the small network's max-pooling; bfloat16 rounds the random MobileNet's large features away.
    choices = replace(CHOICES, backbone=pretrained(tmp_path)) if "xla" in setting else CHOICES
    listeners = [Listener(), Listener()]
    for settings, listener in zip((SHORT, replace(SHORT, **setting)), listeners, strict=True):  # type: ignore[arg-type]
        settings.task(make_shared()).cross_validate(choices, listener)
    plain, other = (listener.heard[-1].loss for listener in listeners)
    assert other == pytest.approx(plain, rel=0.02)


@pytest.mark.parametrize("head", [CosineHead(), MLPHead(hidden_units=16)], ids=lambda head: head.name)
def test_the_joined_model_says_what_was_evaluated(
    make_shared: Callable[[], Shared], tmp_path: Path, head: LinearHead
) -> None:
    shared = make_shared()
    choices = replace(CHOICES, backbone=pretrained(tmp_path), head=head, policy=CutMix(), strategy=TauNorm())
    fitted = SHORT.task(shared).fit(choices)
    images = shared.pixels(32, "stretch").gather(shared.manifest.test).astype(np.float32)
    # Features are taken by a network with folded normalisations, which rounds otherwise.
    np.testing.assert_allclose(np.asarray(fitted.model()(images, training=False)), fitted.probabilities, atol=5e-5)
    mirrored = np.asarray(fitted.model()(images[:, :, ::-1], training=False))
    np.testing.assert_allclose(mirrored, fitted.probabilities, atol=5e-5)


def test_frozen_parts_stay_as_they_came(make_shared: Callable[[], Shared], tmp_path: Path) -> None:
    backbone = pretrained(tmp_path)
    before = backbone.build()
    settings = replace(SHORT, unfrozen=2)
    after = settings.task(make_shared()).fit(replace(CHOICES, backbone=backbone)).backbone.build()
    moved = {old.path for old, new in zip(before.weights, after.weights, strict=True) if not np.array_equal(old, new)}
    assert moved
    assert all("conv_dw_12" in path or "conv_pw_12" in path or "_13" in path for path in moved)
    assert not any("bn" in path for path in moved)


@pytest.mark.parametrize("average", [None, 0.6])
def test_patience_ends_a_training_and_takes_its_best_epoch(
    make_shared: Callable[[], Shared], average: float | None
) -> None:
    settings = FineTune(epochs=12, batch_size=16, patience=1, mirror=False)
    listener = Listener()
    result = settings.task(make_shared()).cross_validate(
        replace(CHOICES, optimizer=AdamW(learning_rate=0.02, schedule="constant", average=average)), listener
    )
    values = [record.metrics["auc_pr_macro"] for record in listener.heard]
    best = int(np.argmax(values)) + 1
    assert result.epochs == best
    assert len(values) == min(best + 1, 12)
    assert result.metrics["auc_pr_macro_mean"] == pytest.approx(values[best - 1], abs=1e-6)


def test_the_decoupled_route_takes_the_plainly_trained_backbone(make_shared: Callable[[], Shared]) -> None:
    shared = make_shared()
    SHORT.task(shared).cross_validate(CHOICES)
    trained = sorted((shared.store / "trainings").glob("*"))
    regime = Decoupled(epochs=3, batch_size=16)
    result = regime.task(shared).cross_validate(replace(CHOICES, strategy=Smote(k_neighbors=2)))
    assert 0.0 < result.metrics["auc_pr_macro_mean"] <= 1.0
    assert sorted((shared.store / "trainings").glob("*")) == trained
    listener = Listener()
    fitted = regime.task(shared).fit(CHOICES, listener)
    assert fitted.probabilities.shape == (len(shared.manifest.test), shared.n_classes)
    assert [record.epoch for record in listener.heard] == [1, 2, 3]
    test = shared.manifest.test
    images = shared.pixels(fitted.backbone.size, "stretch").gather(test).astype(np.float32)
    np.testing.assert_allclose(fitted.model()(images), fitted.probabilities, atol=1e-4)
    plain = replace(regime, mirror=False).task(shared).fit(CHOICES)
    seen, mirrored = (plain.model()(np.ascontiguousarray(view)) for view in (images, images[:, :, ::-1]))
    np.testing.assert_allclose((np.asarray(seen) + np.asarray(mirrored)) / 2, fitted.probabilities, atol=1e-4)
    assert np.abs(plain.probabilities - fitted.probabilities).max() > 1e-4


def test_a_contrastive_warm_up_changes_the_backbone_before_the_classifier_joins(
    make_shared: Callable[[], Shared], tmp_path: Path
) -> None:
    choices = replace(CHOICES, backbone=pretrained(tmp_path))
    plain = FineTune(epochs=1, batch_size=16, mirror=False)
    warm = replace(plain, contrastive=ContrastiveWarmUp(epochs=1, projection=8))
    answers = [settings.task(make_shared()).fit(choices).probabilities for settings in (plain, warm, warm)]
    assert np.abs(answers[0] - answers[1]).max() > 1e-3
    np.testing.assert_array_equal(answers[1], answers[2])


def test_a_student_comes_close_to_its_teacher(make_shared: Callable[[], Shared]) -> None:
    shared = make_shared()
    task = FineTune(epochs=4, batch_size=16, mirror=False, label_smoothing=0.0).task(shared)
    teacher = task.fit(CHOICES)
    small = replace(CHOICES, backbone=SmallConvNet(size=32, width=4))
    alone = task.fit(small)
    taught = task.fit(small, teacher=Teacher((teacher.model(),), weight=1.0, temperature=2.0))

    def divergence(probabilities: np.ndarray) -> float:
        return float(np.mean(np.sum(teacher.probabilities * np.log(teacher.probabilities / probabilities), axis=1)))

    assert divergence(taught.probabilities) < divergence(alone.probabilities)


def test_an_ended_trial_leaves_the_model_of_its_last_epoch(make_shared: Callable[[], Shared]) -> None:
    shared, listener = make_shared(), Listener(last=2)
    task = SHORT.task(shared)
    assert isinstance(task, FineTuneTask)
    assert task.interim(CHOICES) is None
    with pytest.raises(CutOffError):
        task.cross_validate(CHOICES, listener)
    fitted = task.interim(CHOICES)
    assert fitted is not None
    np.testing.assert_allclose(fitted.probabilities.sum(axis=1), 1.0, atol=1e-6)
    assert fitted.model().input_shape == (None, 32, 32, 3)
    # And the trial itself can still go on.
    assert task.cross_validate(CHOICES).epochs == 3


@given(epochs=st.integers(1, 60), data=st.data())
def test_every_size_gets_an_equal_part_of_the_epochs_in_turn(epochs: int, data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.integers(32, 300), min_size=1, max_size=min(epochs, 5)))
    settings = FineTune(epochs=epochs, sizes=sizes)
    used = [settings.size_at(epoch, sizes[-1]) for epoch in range(epochs)]
    runs = [index for index in range(epochs) if index == 0 or used[index] != used[index - 1]]
    assert used[0] == sizes[0]
    assert used[-1] == sizes[-1]
    assert len(runs) <= len(sizes)
    if len(set(sizes)) == len(sizes):
        assert max(used.count(size) for size in sizes) - min(used.count(size) for size in sizes) <= 1


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("epochs", 0),
        ("batch_size", 0),
        ("folds", 0),
        ("unfrozen", 0),
        ("patience", 0),
        ("label_smoothing", 1.0),
        ("dropout", 1.0),
        ("precision", "half"),
        ("xla", "maybe"),
        ("resize", "squash"),
        ("sizes", [16]),
        ("memory_gb", 0.0),
    ],
)
def test_a_bad_setting_is_refused_by_name(setting: str, value: object) -> None:
    with pytest.raises(SettingError, match=rf"regime\.{setting}"):
        FineTune(**{setting: value})  # type: ignore[arg-type]


def test_xla_is_refused_where_it_cannot_compile(make_shared: Callable[[], Shared]) -> None:
    with pytest.raises(SettingError, match=r"regime\.xla=on: .*set regime\.xla=auto"):
        replace(SHORT, xla="on").task(make_shared()).cross_validate(CHOICES)


def test_sizes_must_end_with_the_backbones(make_shared: Callable[[], Shared]) -> None:
    with pytest.raises(SettingError, match=r"regime\.sizes=.*end regime\.sizes with 32"):
        FineTune(sizes=(32, 48)).task(make_shared()).cross_validate(replace(CHOICES, policy=NoAugmentation()))


def test_the_benchmark_times_every_way_of_training(make_shared: Callable[[], Shared]) -> None:
    rates = measure_input_pipeline(make_shared(), SHORT, CHOICES, rounds=2, steps=2)
    assert min(rates.train_on_batch, rates.in_memory, rates.epoch, rates.share) > 0
