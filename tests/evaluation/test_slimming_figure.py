"""The picture of what a smaller or faster artifact costs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wellai_exp.errors import DataError
from wellai_exp.evaluation import slimming_figure
from wellai_exp.evaluation._slimming_figure import apart

ROWS = pd.DataFrame(
    {
        "artifact": ["saved_model", "tflite_float32", "tflite_float32", "tflite_int8@$96$", "tfjs_uint8"],
        "runtime": ["saved_model", "litert", "litert_js", "litert", ""],
        "format": ["saved_model", "tflite", "tflite", "tflite", "tfjs"],
        "size_mb": [4.0, 3.0, 3.0, 1.0, 0.9],
        "latency_ms": [9.0, 2.0, 4.0, 0.5, np.nan],
        "quality": [0.9, 0.9, 0.9, 0.7, np.nan],
        "fit": [True, True, True, False, False],
    }
)


def test_an_artifact_stands_once_by_size_and_once_a_runtime_by_latency_and_an_unfit_one_is_marked() -> None:
    figure = slimming_figure(ROWS, "auc_pr_macro", 0.9)
    by_size, by_latency = (sorted(text.get_text() for text in axes.texts) for axes in figure.axes)
    assert by_size == ["saved_model", "tflite_float32", r"tflite_int8@\$96\$"]
    in_two = ["tflite_float32, litert", "tflite_float32, litert_js"]
    assert by_latency == ["saved_model", *in_two, r"tflite_int8@\$96\$"]
    for axes in figure.axes:
        (unfit,) = (line for line in axes.lines if line.get_label() == "unfit")
        assert np.asarray(unfit.get_ydata()).tolist() == [0.7]
    assert figure.axes[0].get_ylim()[0] < 0.7 < 0.9 < figure.axes[0].get_ylim()[1]


def test_a_difference_of_nothing_is_not_blown_up() -> None:
    low, high = slimming_figure(ROWS.head(2), "auc_pr_macro").axes[0].get_ylim()
    assert high - low >= 0.02


def test_nothing_measured_says_so_and_missing_columns_are_refused() -> None:
    (axes,) = slimming_figure(ROWS.tail(1), "auc_pr_macro").axes
    assert axes.texts[0].get_text() == "No artifact was run on images."
    with pytest.raises(DataError, match="latency_ms"):
        slimming_figure(ROWS.drop(columns="latency_ms"), "auc_pr_macro")


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.floats(0.001, 1.0))
def test_names_stand_apart_within_the_panel_and_no_further_than_needed(wanted: list[float], gap: float) -> None:
    gap = min(gap, 1 / len(wanted))
    ascending = np.sort(wanted)
    places = apart(ascending, gap)
    assert (np.diff(places) >= gap - 1e-9).all()
    assert places.max() <= 1 + 1e-9
    assert places.min() >= -1e-9
    if (np.diff(ascending) >= gap).all():
        np.testing.assert_allclose(places, ascending, atol=1e-9)
