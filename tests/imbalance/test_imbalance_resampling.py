"""Laws of resampling beyond the shared contract."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imblearn.over_sampling import ADASYN, SMOTE, SVMSMOTE, BorderlineSMOTE
from imblearn.under_sampling import EditedNearestNeighbours, TomekLinks
from sklearn.svm import SVC

from wellai_exp.errors import TrialFailed
from wellai_exp.imbalance import (
    Adasyn,
    BorderlineSmote,
    FeatureOversampler,
    RandomOver,
    RandomUnder,
    Resampled,
    Smote,
    SmoteEnn,
    SmoteTomek,
    Strategy,
    SvmSmote,
)
from wellai_exp.seeding import derive_seed

Rows = tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]
ratios = st.floats(0.01, 1.0)
few_counts = st.lists(st.integers(0, 12), min_size=2, max_size=6).filter(any)


def clouds(counts: list[int], spread: float = 1.5, width: int = 5, seed: int = 0) -> Rows:
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    centres = spread * rng.normal(size=(len(counts), width))
    return (centres[labels] + rng.normal(size=(labels.size, width))).astype(np.float32), labels


def on_a_segment(point: npt.NDArray[np.float32], rows: npt.NDArray[np.float32], reach: float = 1.0) -> bool:
    """Whether `point` lies between two of `rows`, or up to ``reach - 1`` segment lengths outside."""
    start, along = rows[:, None], rows[None] - rows[:, None]
    offset = point - start
    length = np.maximum((along**2).sum(-1), 1e-12)
    step = (offset * along).sum(-1) / length
    gap = np.sqrt(((offset - step[..., None] * along) ** 2).sum(-1))
    return bool(((gap < 1e-4) & (step > 1 - reach - 1e-3) & (step < 1 + 1e-3)).any())


@given(few_counts, ratios, st.integers(0, 5))
def test_random_over_law(counts: list[int], ratio: float, seed: int) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    chosen = RandomOver(ratio).indices(labels, len(counts), seed)
    np.testing.assert_array_equal(chosen[: labels.size], np.arange(labels.size))
    after = np.bincount(labels[chosen], minlength=len(counts))
    expected = [max(n, round(ratio * max(counts))) if n else 0 for n in counts]
    np.testing.assert_array_equal(after, expected)


@given(few_counts, ratios, st.integers(0, 5))
def test_random_under_law(counts: list[int], ratio: float, seed: int) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    chosen = RandomUnder(ratio).indices(labels, len(counts), seed)
    assert len(set(chosen.tolist())) == chosen.size
    after = np.bincount(labels[chosen], minlength=len(counts))
    most = min(n for n in counts if n) / ratio
    np.testing.assert_array_equal(after, [min(n, round(min(most, max(counts)))) for n in counts])


@given(few_counts, st.integers(1, 8), ratios, st.integers(0, 5))
@settings(deadline=None, max_examples=40)
def test_smote_law(counts: list[int], k_neighbors: int, ratio: float, seed: int) -> None:
    features, labels = clouds(counts, seed=seed)
    result = Smote(k_neighbors, ratio).resample(features, labels, len(counts), seed)
    after = np.bincount(result.labels, minlength=len(counts))
    np.testing.assert_array_equal(after, [max(n, round(ratio * max(counts))) if n else 0 for n in counts])
    new = zip(result.features[labels.size :], result.labels[labels.size :], strict=True)
    for point, label in list(new)[:25]:
        assert on_a_segment(point, features[labels == label])


@pytest.mark.parametrize(
    ("strategy", "reach"), [(BorderlineSmote(3), 1.0), (Adasyn(3), 1.0), (SvmSmote(3, out_step=0.5), 1.5)], ids=str
)
def test_new_rows_lie_on_lines_within_the_class(strategy: FeatureOversampler, reach: float) -> None:
    features, labels = clouds([30, 12, 8, 5])
    result = strategy.resample(features, labels, 4, seed=0)
    assert result.labels.size > labels.size + 20
    for point, label in zip(result.features[labels.size :], result.labels[labels.size :], strict=True):
        assert on_a_segment(point, features[labels == label], reach)


def test_smote_uses_only_the_nearest() -> None:
    # On a line, k_neighbors=1 never spans the wide gap between two pairs of one class.
    line = np.array([0.0, 1.0, 100.0, 101.0], np.float32)
    features = np.concatenate([np.stack([line, np.zeros(4)], 1), np.random.default_rng(0).normal(500, 1, (40, 2))])
    labels = np.repeat([0, 1], [4, 40])
    new = Smote(k_neighbors=1).resample(features, labels, 2, 0).features[44:, 0]
    assert new.size == 36
    assert ((new <= 1.001) | (new >= 99.999)).all()


def test_notes_tell_what_was_lowered(caplog: pytest.LogCaptureFixture) -> None:
    features, labels = clouds([20, 3, 1, 0, 9])
    with caplog.at_level(logging.INFO, "wellai_exp"):
        result = Smote(k_neighbors=5).resample(features, labels, 5, seed=0)
    assert result.notes == (
        "k_neighbors=5 lowered to 2 for class 1: too few images.",
        "Class 2 of one image: the image is repeated, not interpolated.",
    )
    assert all(note in caplog.text for note in result.notes)
    np.testing.assert_array_equal(np.bincount(result.labels), [20, 20, 20, 0, 20])
    twos = result.features[result.labels == 2]
    assert (twos == features[labels == 2]).all()


@pytest.mark.parametrize("strategy", [Smote(5), BorderlineSmote(5), SvmSmote(5), Adasyn(5), SmoteTomek(5)], ids=str)
def test_tiny_classes_are_served_by_all(strategy: FeatureOversampler) -> None:
    features, labels = clouds([25, 2, 1, 3, 1], spread=0.3)
    result = strategy.resample(features, labels, 5, seed=0)
    after = np.bincount(result.labels, minlength=5)
    assert (after[[2, 4]] >= 24).all()
    assert any("lowered" in note for note in result.notes)
    assert any("Classes 2, 4 of one image" in note for note in result.notes)


@pytest.mark.parametrize("strategy", [Adasyn(), BorderlineSmote()], ids=str)
def test_classes_without_a_border_are_left_and_noted(strategy: FeatureOversampler) -> None:
    features, labels = clouds([30, 8, 12], spread=0.0)
    features[labels == 1] += 1000
    result = strategy.resample(features, labels, 3, seed=0)
    after = np.bincount(result.labels)
    assert after[1] == 8
    assert after[2] > 20
    assert result.notes == (f"Class 1 left as before: no image there suits {strategy.name}.",)


def test_imbalanced_learn_alone_would_have_refused_that() -> None:
    features, labels = clouds([30, 8, 12], spread=0.0)
    features[labels == 1] += 1000
    with pytest.raises(RuntimeError, match="Not any neigbours belong to the majority"):
        ADASYN().fit_resample(features, labels)


def test_svm_smote_leaves_a_class_of_noise() -> None:
    # The two images of class 1 lie in the midst of two clusters of class 0: all their neighbours are of another class.
    rng = np.random.default_rng(0)
    midst = np.array([[0.0, 0.0, 0.0], [8.0, 0.0, 0.0]])
    clusters = np.repeat(midst, 30, axis=0) + rng.normal(size=(60, 3))
    features = np.concatenate([clusters, midst, rng.normal((4, 4, 4), 1, (20, 3))])
    labels = np.repeat([0, 1, 2], [60, 2, 20])
    result = SvmSmote(m_neighbors=3).resample(features, labels, 3, seed=0)
    np.testing.assert_array_equal(np.bincount(result.labels), [60, 2, 60])
    assert "Class 1 left as before: no image there suits svm_smote." in result.notes


@pytest.mark.parametrize(
    ("strategy", "reference"),
    [
        (Smote(4), SMOTE(k_neighbors=4)),
        (BorderlineSmote(3, m_neighbors=6), BorderlineSMOTE(k_neighbors=3, m_neighbors=6)),
        (
            SvmSmote(3, m_neighbors=6, out_step=0.3),
            # An SVC of its own, because the default one draws from the sampler's random state.
            SVMSMOTE(k_neighbors=3, m_neighbors=6, out_step=0.3, svm_estimator=SVC(gamma="scale")),
        ),
        (Adasyn(4), ADASYN(n_neighbors=4)),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("seed", [7, 13])  # of those where SVM-SMOTE does not fall short
def test_rows_are_those_of_imbalanced_learn(strategy: FeatureOversampler, reference: Any, seed: int) -> None:
    features, labels = clouds([60, 25, 18, 12], spread=0.7, width=8, seed=seed)
    result = strategy.resample(features, labels, 4, seed=seed)
    state = np.random.RandomState(derive_seed(seed, "imbalance", strategy.name))
    expected, expected_labels = reference.set_params(random_state=state).fit_resample(features, labels)
    assert result.notes == ()
    np.testing.assert_array_equal(result.labels, expected_labels)
    np.testing.assert_allclose(result.features, expected, atol=1e-5)


def test_svm_smote_fills_up_where_imbalanced_learn_falls_short() -> None:
    features, labels = clouds([60, 25, 18, 12], spread=0.7, width=8, seed=0)
    stock = SVMSMOTE(k_neighbors=3, m_neighbors=6, random_state=0).fit_resample(features, labels)[1]
    assert np.bincount(stock).min() < 60
    ours = SvmSmote(3, m_neighbors=6).resample(features, labels, 4, seed=0).labels
    np.testing.assert_array_equal(np.bincount(ours), [60, 60, 60, 60])


def test_borderline_2_goes_at_most_half_way_to_other_classes() -> None:
    features, labels = clouds([40, 15, 12], spread=0.8)
    result = BorderlineSmote(3, m_neighbors=6, kind="borderline-2").resample(features, labels, 3, seed=0)
    crossing = 0
    for point, label in zip(result.features[labels.size :], result.labels[labels.size :], strict=True):
        own, others = features[labels == label], features[labels != label]
        if not on_a_segment(point, own):
            crossing += 1
            assert any(on_a_segment(point, np.stack([x, (x + z) / 2])) for x in own for z in others)
    assert crossing > 5


@pytest.mark.parametrize("kind", ["mode", "all"])
def test_enn_keeps_what_imbalanced_learn_keeps(kind: str) -> None:
    features, labels = clouds([60, 60, 60], spread=0.8)
    # Balanced already, so SMOTE adds nothing and the cleaning stands alone.
    result = SmoteEnn(kind=kind).resample(features, labels, 3, seed=0)
    reference = EditedNearestNeighbours(sampling_strategy="all", kind_sel=kind)
    reference.fit_resample(features, labels)
    kept = np.sort(reference.sample_indices_)
    assert kept.size < labels.size
    np.testing.assert_array_equal(result.features, features[kept])
    assert result.notes == (f"{labels.size - kept.size} of {labels.size} rows removed by the cleaning.",)


def test_tomek_keeps_what_imbalanced_learn_keeps() -> None:
    features, labels = clouds([60, 60, 60], spread=0.8)
    result = SmoteTomek().resample(features, labels, 3, seed=0)
    kept, _ = TomekLinks(sampling_strategy="all").fit_resample(features, labels)
    assert len(kept) < labels.size
    np.testing.assert_array_equal(result.features, kept)


def test_a_class_cleaned_away_fails_the_trial_by_name() -> None:
    rng = np.random.default_rng(0)
    features = np.concatenate([rng.normal(size=(60, 3)), rng.normal(9, 1, (60, 3)), rng.normal(size=(1, 3))])
    labels = np.repeat([0, 1, 3], [60, 60, 1])
    with pytest.raises(TrialFailed, match="smote_enn removed every image of class 3;"):
        SmoteEnn(sampling_ratio=0.01).resample(features, labels, 4, seed=0)


def test_what_imbalanced_learn_refuses_otherwise_fails_the_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels = clouds([20, 6])

    def broken(*_: object) -> None:
        raise ValueError("Input\nis strange")

    monkeypatch.setattr("imblearn.over_sampling.SMOTE.fit_resample", broken)
    with pytest.raises(TrialFailed, match=r"imbalance=smote failed in imbalanced-learn: Input is strange$"):
        Smote().resample(features, labels, 2, 0)


def test_svm_smote_refuses_more_rows_than_memory_bears() -> None:
    features, labels = np.zeros((12_001, 1), np.float32), np.arange(12_001) % 2
    with pytest.raises(TrialFailed, match="at most 12000, not 12001; choose imbalance=borderline_smote"):
        SvmSmote().resample(features, labels, 2, 0)


class Faulty(Strategy):
    """A strategy whose result is handed in."""

    def __init__(self, result: Resampled) -> None:
        self.result = result

    def _resample(
        self, features: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], n_classes: int, seed: int
    ) -> Resampled:
        return self.result


@pytest.mark.parametrize(
    ("features", "labels", "message"),
    [
        (np.ones((4, 2)), [0, 0, 1, 1], "shape"),
        (np.ones((3, 3)), [0, 0, 1, 1], "4 labels"),
        (np.full((4, 3), np.inf), [0, 0, 1, 1], "not finite"),
        (np.ones((4, 3)), [0, 0, 0, 0], "every image of class 1;"),
    ],
)
def test_the_base_class_checks_results(features: npt.NDArray[np.float64], labels: list[int], message: str) -> None:
    result = Resampled(features.astype(np.float32), np.array(labels))
    with pytest.raises(TrialFailed, match=message):
        Faulty(result).resample(np.ones((4, 3)), np.array([0, 0, 1, 1]), 2, 0)
