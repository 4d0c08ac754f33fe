"""The picture of what a smaller or faster artifact costs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from wellai_exp.errors import DataError
from wellai_exp.evaluation import slimming_figure

ROWS = pd.DataFrame(
    {
        "artifact": ["saved_model", "tflite_float32", "tflite_int8", "tflite_int8@$96$", "tfjs_uint8"],
        "format": ["saved_model", "tflite", "tflite", "tflite", "tfjs"],
        "size_mb": [4.0, 3.0, 1.0, 1.0, 0.9],
        "latency_ms": [9.0, 2.0, 1.0, 0.5, np.nan],
        "quality": [0.9, 0.9, 0.89, 0.7, np.nan],
        "fit": [True, True, True, False, False],
    }
)


def test_every_artifact_that_was_measured_stands_in_both_panels_and_an_unfit_one_is_marked() -> None:
    figure = slimming_figure(ROWS, "auc_pr_macro", 0.9)
    for axes in figure.axes:
        drawn = {text.get_text() for text in axes.texts}
        assert drawn == {"saved_model", "tflite_float32", "tflite_int8", r"tflite_int8@\$96\$"}
        (unfit,) = (line for line in axes.lines if line.get_label() == "unfit")
        assert list(unfit.get_ydata()) == [0.7]
    assert figure.axes[0].get_ylim()[0] < 0.7 < 0.9 < figure.axes[0].get_ylim()[1]


def test_a_difference_of_nothing_is_not_blown_up() -> None:
    low, high = slimming_figure(ROWS.head(2), "auc_pr_macro").axes[0].get_ylim()
    assert high - low >= 0.02


def test_nothing_measured_says_so_and_missing_columns_are_refused() -> None:
    (axes,) = slimming_figure(ROWS.tail(1), "auc_pr_macro").axes
    assert axes.texts[0].get_text() == "No artifact was run on images."
    with pytest.raises(DataError, match="latency_ms"):
        slimming_figure(ROWS.drop(columns="latency_ms"), "auc_pr_macro")
