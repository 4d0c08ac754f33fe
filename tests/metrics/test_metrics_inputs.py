"""Unsound arrays are refused with a sentence, missing classes are left out, and the scores are fast."""

from __future__ import annotations

import subprocess
import sys
import time
import tracemalloc

import numpy as np
import numpy.typing as npt
import pytest

from wellai_exp import metrics
from wellai_exp.errors import WellaiError

GOOD = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1]])


@pytest.mark.parametrize(
    ("labels", "probabilities", "words"),
    [
        ([0, 3], GOOD, "below the number of classes, 3, but 3"),
        ([0, -1], GOOD, "from 0, but -1"),
        ([0.0, 1.0], GOOD, "integers"),
        ([True, False], GOOD, "integers"),
        ([[0], [1]], GOOD, r"shape \[N\]"),
        ([], GOOD, "non-empty"),
        ([0], GOOD, "1 labels but 2 rows"),
        ([0, 1], GOOD[0], r"shape \[N, C\]"),
        ([0, 1], GOOD * 3, r"in \[0, 1\]"),
        ([0, 1], GOOD * 0.99, "row 0 sums to 0.99"),
        ([0, 1], np.array([[0.7, 0.2, 0.1], [np.nan, 0.5, 0.5]]), "row 1, column 0 holds nan"),
        ([0, 1], np.array([[0.7, 0.2, 0.1], [np.inf, 0, 0]]), "finite"),
        ([0, 1], np.array([[1.2, -0.2, 0.0], [1.0, 0, 0]]), r"in \[0, 1\]"),
        ([0, 1], GOOD.astype(str), "real numbers"),
        ([0, 1], np.zeros((2, 0)), "non-empty"),
    ],
)
def test_unsound_arrays_are_refused(labels: npt.ArrayLike, probabilities: npt.ArrayLike, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        metrics.Scorer(labels, probabilities)
    assert isinstance(caught.value, WellaiError)
    assert str(caught.value).endswith(".")


def test_average_precision_refuses_unsound_targets() -> None:
    with pytest.raises(metrics.ArrayError, match="must be equal"):
        metrics.average_precision(np.eye(3), GOOD)
    with pytest.raises(metrics.ArrayError, match="0 or 1"):
        metrics.average_precision(np.array([[2, 0, 0], [0, 1, 0]]), GOOD)


def test_predictions_are_checked() -> None:
    with pytest.raises(metrics.ArrayError, match="2 labels but 1 predictions"):
        metrics.confusion_matrix([0, 1], [0], 2)
    with pytest.raises(metrics.ArrayError, match="predictions must lie below"):
        metrics.precision_recall_f1_per_class([0, 1], [0, 5], 3)


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ([1.0], r"shape \[2\], one for each row, but their shape is \[1\]"),
        ([[1.0, 1.0]], r"their shape is \[1, 2\]"),
        (2.0, r"their shape is \[\]"),
        ([1.0, -0.5], "the least is -0.5"),
        ([0, 0], "not all 0"),
        ([1.0, np.nan], "finite"),
        ([1.0, np.inf], "finite"),
        (["1", "2"], "real numbers"),
    ],
)
def test_unsound_weights_are_refused(weights: npt.ArrayLike, words: str) -> None:
    scorer = metrics.Scorer([0, 1], GOOD)
    for score in (scorer.scores, scorer.auc_pr):
        with pytest.raises(metrics.ArrayError, match=words) as caught:
            score(weights)
        assert str(caught.value).endswith(".")


@pytest.mark.parametrize(
    ("support", "parents", "words"),
    [
        ([5, 3], None, "3 classes but train_support has 2"),
        ([5, 3, -1], None, "train_support must be integers from 0, but -1"),
        ([5.5, 3, 1], None, "train_support must be integers"),
        (None, {"level_1": [0, 0]}, "3 classes but level_1 has 2"),
        (None, {"level_1": ["a", "a", "b"]}, "level_1 must be integers"),
    ],
)
def test_unsound_descriptions_of_classes_are_refused(
    support: npt.ArrayLike | None, parents: dict[str, npt.ArrayLike] | None, words: str
) -> None:
    with pytest.raises(metrics.ArrayError, match=words):
        metrics.Scorer([0, 1], GOOD, train_support=support, parents=parents)


def test_rows_may_be_off_by_rounding() -> None:
    half = np.full((4, 7), 1 / 7, dtype=np.float16)
    assert metrics.Scorer([0, 1, 2, 3], half).scores()["log_loss"] == pytest.approx(np.log(7), abs=1e-3)


def test_macro_means_leave_out_classes_without_a_row() -> None:
    # Class 2 is predicted once but has no row: it lowers accuracy, not the number of classes in a mean.
    labels = [0, 0, 1, 1]
    probabilities = np.array([[0.9, 0.1, 0.0], [0.2, 0.1, 0.7], [0.1, 0.9, 0.0], [0.1, 0.9, 0.0]])
    scores = metrics.Scorer(labels, probabilities).scores()
    assert np.isnan(metrics.average_precision(np.eye(3, dtype=int)[labels], probabilities)[2])
    assert scores["auc_pr_macro"] == 1.0
    assert scores["balanced_accuracy"] == 0.75
    assert scores["f1_macro"] == pytest.approx((2 / 3 + 1) / 2)
    assert "top5_accuracy" not in scores


def test_fold_summary_uses_the_population_standard_deviation() -> None:
    summary = metrics.fold_summary([{"accuracy": 0.5, "log_loss": 1.0}, {"log_loss": 3.0, "accuracy": 0.7}])
    assert list(summary) == ["accuracy_mean", "accuracy_std", "log_loss_mean", "log_loss_std"]
    assert summary == pytest.approx(
        {"accuracy_mean": 0.6, "accuracy_std": 0.1, "log_loss_mean": 2.0, "log_loss_std": 1.0}
    )
    assert metrics.fold_summary([{"accuracy": 0.5}]) == {"accuracy_mean": 0.5, "accuracy_std": 0.0}
    assert np.isnan(metrics.fold_summary([{"a": 1.0}, {"a": float("nan")}])["a_mean"])


def test_fold_summary_refuses_folds_that_differ() -> None:
    with pytest.raises(metrics.ArrayError, match="differ in f1"):
        metrics.fold_summary([{"a": 1.0}, {"a": 1.0, "f1": 0.5}])
    with pytest.raises(metrics.ArrayError, match="at least one fold"):
        metrics.fold_summary([])


def test_average_precision_is_fast() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 62, 600)
    targets, scores = np.eye(62, dtype=bool)[labels], rng.dirichlet(np.ones(62), 600)
    metrics.average_precision(targets, scores)
    seconds = []
    for _ in range(15):
        start = time.perf_counter()
        metrics.average_precision(targets, scores)
        seconds.append(time.perf_counter() - start)
    # The best of several, because another process may hold the machine during any one of them.
    assert min(seconds) < 0.03


def test_a_resample_of_a_large_test_set_is_fast_and_small() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 82, 7456)
    probabilities = rng.dirichlet(np.ones(82), 7456).astype(np.float32)
    tracemalloc.start()
    scorer = metrics.Scorer(
        labels, probabilities, train_support=np.arange(82), parents={"level_1": np.arange(82) // 14}
    )
    scorer.scores()
    weights = rng.multinomial(7456, np.full(7456, 1 / 7456))
    scorer.scores(weights)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100 * 2**20
    seconds = []
    for _ in range(10):
        start = time.perf_counter()
        scorer.scores(weights)
        seconds.append(time.perf_counter() - start)
    # Twice the aim of 15 ms, because another process may hold the machine.
    assert min(seconds) < 0.03


def test_import_needs_numpy_only() -> None:
    heavy = "{'tensorflow', 'keras', 'sklearn', 'scipy', 'matplotlib', 'mlflow', 'imblearn', 'pandas'}"
    code = f"import sys, wellai_exp.metrics; print(sorted({heavy} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
