"""The picture of a model before a camera."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from wellai_exp.evaluation import stream_figure


def test_each_artifact_has_its_latencies_and_what_it_dropped() -> None:
    latencies = {"tflite_int8/litert": np.linspace(4, 8, 101), "[a]\n$x$/tfjs": np.linspace(60, 90, 101)}
    figure = stream_figure(latencies, [0.0, 0.525], 30.0, "the video $a$_1.mp4")
    figure.canvas.draw()
    left, right = cast(list[Any], figure.axes)
    middle, dropped = ([bar.get_bbox().intervalx for bar in axes.patches] for axes in (left, right))
    np.testing.assert_allclose(middle, [(4.2, 7.8), (61.5, 88.5)])
    np.testing.assert_allclose(dropped, [(0, 0), (0, 52.5)])
    assert [text.get_text() for text in right.texts] == ["0.0", "52.5"]
    assert [tick.get_text() for tick in left.get_yticklabels()] == ["tflite_int8/litert", r"[a] \$x\$/tfjs"]
    # The time between two frames is always in the picture.
    assert left.get_xlim()[0] < 1000 / 30 < left.get_xlim()[1]


def test_where_nothing_could_be_measured_it_says_so() -> None:
    figure = stream_figure({}, [], 30.0, "a video")
    assert "Nothing could be measured." in {text.get_text() for axes in figure.axes for text in axes.texts}
