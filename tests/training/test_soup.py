"""Averaged weights: one network that is the mean of its members, and only where such a mean is a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from short_training import CHOICES, SHORT, Listener, pretrained

from wellai_exp.errors import SettingError
from wellai_exp.imbalance import LogitAdjustment, TauNorm
from wellai_exp.models import CosineHead, Head, LinearHead, MLPHead
from wellai_exp.training import Choices, Decoupled, FineTune, Probe, Representation, Shared


def test_a_soup_holds_the_mean_of_its_members_weights(make_shared: Callable[[], Shared], tmp_path: Path) -> None:
    shared = make_shared()
    task = SHORT.task(shared)
    choices = replace(CHOICES, backbone=pretrained(tmp_path), head=CosineHead(), strategy=LogitAdjustment())
    members = [task.fit(choices, seed=seed) for seed in (0, 1, 2)]
    soup = task.soup(members)
    networks = [member.backbone.build() for member in members]
    moved = 0.0
    for mean, *each in zip(soup.backbone.build().variables, *(net.variables for net in networks), strict=True):
        values = [np.asarray(value) for value in each]
        np.testing.assert_allclose(np.asarray(mean), np.mean(values, axis=0), atol=1e-6)
        moved = max(moved, float(np.ptp(values, axis=0).max()))
    assert moved > 1e-4, "three seeds must not train the same network"
    np.testing.assert_allclose(soup.head.kernel, np.mean([m.head.kernel for m in members], axis=0), atol=1e-6)
    images = shared.pixels(32, "stretch").gather(shared.manifest.test).astype(np.float32)
    np.testing.assert_allclose(np.asarray(soup.model()(images, training=False)), soup.probabilities, atol=1e-4)


@pytest.mark.parametrize("regime", [SHORT, Decoupled(epochs=2, batch_size=16)], ids=lambda regime: regime.name)
def test_a_soup_of_one_training_says_what_that_training_says(
    make_shared: Callable[[], Shared], tmp_path: Path, regime: FineTune
) -> None:
    task = regime.task(make_shared())
    fitted = task.fit(replace(CHOICES, backbone=pretrained(tmp_path)))
    np.testing.assert_allclose(task.soup([fitted, fitted]).probabilities, fitted.probabilities, atol=1e-5)


def test_a_frozen_backbone_stays_itself_in_a_soup_of_probes(make_shared: Callable[[], Shared], tmp_path: Path) -> None:
    shared = make_shared()
    probe = Probe(Representation(SHORT, CHOICES.optimizer, CHOICES.policy))
    choices = replace(CHOICES, backbone=pretrained(tmp_path), head=CosineHead())
    task = probe.task(shared)
    members = [task.fit(choices, seed=seed) for seed in (0, 1)]
    assert task.soup(members).backbone == choices.backbone
    assert np.abs(members[0].probabilities - members[1].probabilities).max() > 0
    between = np.mean([member.head.kernel for member in members], axis=0)
    np.testing.assert_allclose(task.soup(members).head.kernel, between, atol=1e-6)


@pytest.mark.parametrize(
    ("head", "regime", "named"),
    [
        (LinearHead(), SHORT, "small_conv"),
        (MLPHead(hidden_units=8), SHORT, "head=mlp"),
        (LinearHead(), replace(SHORT, freeze_batch_norm=False), "batch normalisation"),
        (LinearHead(), Decoupled(freeze_batch_norm=False), "batch normalisation"),
    ],
    ids=["random backbone", "hidden layer", "batch norm", "batch norm decoupled"],
)
def test_what_has_no_mean_is_refused_in_a_sentence(
    make_shared: Callable[[], Shared], tmp_path: Path, head: Head, regime: FineTune, named: str
) -> None:
    choices = CHOICES if named == "small_conv" else replace(CHOICES, backbone=pretrained(tmp_path), head=head)
    with pytest.raises(SettingError, match=r"final\.soup=True") as refused:
        regime.task(make_shared()).check_soup(choices)
    assert named in str(refused.value)
    assert "set final.soup=false" in str(refused.value)


def test_what_acts_on_the_trained_classifier_alone_shares_its_network(make_shared: Callable[[], Shared]) -> None:
    shared, again = make_shared(), Listener()
    task = replace(SHORT, mirror=False).task(shared)

    def fit(choices: Choices, listener: Listener) -> npt.NDArray[np.float64]:
        return task.fit(choices, listener).probabilities

    plain = fit(CHOICES, Listener())
    adjusted = fit(replace(CHOICES, strategy=LogitAdjustment()), again)
    normed = fit(replace(CHOICES, strategy=TauNorm()), again)
    assert again.steps == 0
    log_prior = np.log(np.bincount(shared.manifest.labels[shared.manifest.train]) / len(shared.manifest.train))
    expected = plain * np.exp(-log_prior)
    np.testing.assert_allclose(adjusted, expected / expected.sum(axis=1, keepdims=True), atol=1e-5)
    assert np.abs(adjusted - plain).max() > 1e-3
    assert np.abs(normed - plain).max() > 1e-3
