"""The rule by which the page names a pose over time, run in a real browser on drawn sequences."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from test_page import CHROMIUM

from wellai_exp.export import Site
from wellai_exp.export._browser import browser_flags
from wellai_exp.export._site import Entry
from wellai_exp.export._vendor import PAGE

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("page"),
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed on this machine"),
]

THRESHOLDS = [0.5, 0.5, 0.8]
Frames = list[tuple[float, list[float]]]


@pytest.fixture(scope="module")
def tab() -> Iterator[Page]:
    from playwright.sync_api import sync_playwright

    with Site({"index.html": Entry(PAGE / "bench.html"), "label.js": Entry(PAGE / "label.js")}) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=browser_flags())
            page = browser.new_page()
            page.goto(f"{site.address}/")
            yield page
            browser.close()
        site.shutdown()


def named(tab: Page, frames: Frames) -> list[int]:
    """Give the pose that is named at each frame."""
    return list(
        tab.evaluate(
            """async ([frames, thresholds]) => {
              const { HeldLabel } = await import("/label.js");
              const held = new HeldLabel(thresholds);
              return frames.map(([time, probabilities]) => held.add(Float32Array.from(probabilities), time).named);
            }""",
            [frames, THRESHOLDS],
        )
    )


def sure(index: int, probability: float = 0.9) -> list[float]:
    rest = (1 - probability) / 2
    return [probability if place == index else rest for place in range(3)]


def film(*parts: tuple[float, list[float]], fps: float) -> Frames:
    """Draw frames at a rate: for so many milliseconds these probabilities each."""
    frames: Frames = []
    time, end = 0.0, 0.0
    for milliseconds, probabilities in parts:
        end += milliseconds
        while time < end:
            frames.append((time, probabilities))
            time += 1000.0 / fps
    return frames


@pytest.mark.parametrize("fps", [8, 15, 30, 60])
def test_a_pose_that_is_held_for_half_a_second_is_named_then_at_any_rate(tab: Page, fps: float) -> None:
    frames = film((1000, sure(0)), (1000, sure(1)), fps=fps)
    answers = named(tab, frames)
    step = 1000.0 / fps
    for (time, _), answer in zip(frames, answers, strict=True):
        if time < 500:
            assert answer == -1
        elif time < 1000:
            assert answer == 0
        elif time >= 1500 + step:
            assert answer == 1
        elif time < 1000 + 350:
            assert answer != 1


def test_a_pose_that_flashes_up_is_never_named_however_sure_the_model_is(tab: Page) -> None:
    for milliseconds in (30, 100, 200, 330):
        answers = named(tab, film((900, sure(0)), (milliseconds, sure(1, 1.0)), (900, sure(0)), fps=30))
        assert 1 not in answers
        assert answers[-1] == 0


def test_an_odd_frame_takes_nothing_away(tab: Page) -> None:
    answers = named(tab, film((1000, sure(0)), (34, sure(1, 1.0)), (1000, sure(0)), fps=30))
    assert set(answers[16:]) == {0}


def test_each_pose_has_its_own_threshold(tab: Page) -> None:
    assert set(named(tab, film((1500, sure(0, 0.6)), fps=30))[16:]) == {0}
    assert set(named(tab, film((1500, sure(2, 0.7)), fps=30))) == {-1}
    assert set(named(tab, film((1500, sure(2, 0.85)), fps=30))[16:]) == {2}


def test_two_poses_in_turn_name_none(tab: Page) -> None:
    turns = [(100.0, sure(number % 2)) for number in range(30)]
    assert set(named(tab, film(*turns, fps=60))) == {-1}


def test_what_is_named_leads_and_reaches_its_threshold_whatever_comes(tab: Page) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        times = np.cumsum(rng.exponential(rng.uniform(10, 150), 80))
        drawn = rng.dirichlet(np.full(3, rng.uniform(0.1, 2)), 80).astype(np.float32)
        if rng.random() < 0.7:
            drawn = np.repeat(drawn[:8], 10, axis=0)
        answers = named(tab, [(float(time), row.tolist()) for time, row in zip(times, drawn, strict=True)])
        for index, answer in enumerate(answers):
            mean = window_mean(times[: index + 1], drawn[: index + 1])
            if mean is None:
                assert answer == -1
            elif answer >= 0:
                assert mean[answer] >= THRESHOLDS[answer] - 1e-4
                assert mean[answer] >= mean.max() - 1e-4


def window_mean(times: np.ndarray[Any, Any], drawn: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
    """Give the mean over the last half second, each frame weighted by how long it was the newest."""
    start = times[-1] - 500
    if times[0] > start:
        return None
    bounds = np.clip(times, start, None)
    weights = np.diff(bounds)
    mean: np.ndarray[Any, Any] = (weights[:, None] * drawn[:-1]).sum(axis=0) / 500
    return mean
