"""A camera that does not wait: which frames are answered, how late, and that none is lost or counted twice."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulated import SimulatedClock

from wellai_exp.benchmark import Stream, run_stream

Image = npt.NDArray[np.uint8]
SLACK = 1e-9


class Simulated:
    """A camera and a runtime that take simulated time, and what they saw."""

    def __init__(self, services: list[float], decodes: list[float]) -> None:
        self.clock = SimulatedClock()
        self.services, self.decodes = services, decodes
        self.decoded = self.classified = self.calls = 0

    def frames(self) -> Iterator[Image]:
        while True:
            self.clock.sleep_until(self.clock.now() + self.decodes[self.decoded % len(self.decodes)])
            self.decoded += 1
            yield np.full((2, 2, 3), self.decoded % 256, np.uint8)

    def classify(self, images: Image) -> float:
        service = self.services[self.calls % len(self.services)]
        self.clock.sleep_until(self.clock.now() + service)
        self.calls += 1
        self.classified += len(images)
        return service

    def run(self, fps: float, seconds: float, batch: int = 1) -> Stream:
        return run_stream(
            self.frames(), lambda image: image, self.classify, fps=fps, seconds=seconds, batch=batch, clock=self.clock
        )


milliseconds = st.lists(st.integers(0, 400).map(lambda tenths: tenths / 10_000), min_size=1, max_size=5)


@given(
    services=milliseconds,
    decodes=milliseconds,
    fps=st.sampled_from([7.0, 30.0, 59.94, 1000.0]),
    frames=st.sampled_from([1, 2, 40]),
    batch=st.integers(1, 4),
)
def test_every_frame_is_answered_once_or_dropped_and_none_grows_old(
    services: list[float], decodes: list[float], fps: float, frames: int, batch: int
) -> None:
    camera = Simulated(services, decodes)
    stream = camera.run(fps, frames / fps, batch)
    slots = [answer.slot for answer in stream.answers]
    assert stream.captured == frames == stream.answered + stream.dropped
    assert slots == sorted(set(slots))
    assert set(slots) <= set(range(stream.captured))
    assert stream.answered == camera.classified
    # The first one finds the runtime idle; of a batch that is never full the rest is classified at the end.
    assert stream.answers
    for answer in stream.answers:
        assert answer.captured == pytest.approx(answer.slot / fps)
        # It waited for the frames of its batch, each decoded in its turn, and for the batch before its own.
        bound = batch * (1 / fps + max(decodes)) + 2 * max(services)
        assert answer.latency <= bound + SLACK
        assert answer.latency >= answer.decode + answer.preprocess + answer.inference - SLACK
        assert answer.wait == pytest.approx(answer.latency - answer.decode - answer.inference)


@given(service=st.integers(1, 4000).map(lambda tenths: tenths / 10_000), fps=st.sampled_from([25.0, 30.0, 1000.0]))
def test_latency_is_bounded_by_the_service_and_one_frame(service: float, fps: float) -> None:
    stream = Simulated([service], [0.0]).run(fps, 60 / fps)
    assert stream.milliseconds("latency").max() <= 1000 * (service + 1 / fps) + 1e-6
    assert stream.milliseconds("inference") == pytest.approx(1000 * service)
    if service <= 1 / fps:
        assert stream.dropped == 0
        assert stream.milliseconds("latency") == pytest.approx(1000 * service)


def test_a_runtime_that_is_three_times_too_slow_drops_two_of_three_and_stays_as_late_as_it_was() -> None:
    service = 0.1037
    stream = Simulated([service], [0.0]).run(30.0, 20.0)
    assert stream.captured == 600
    assert stream.effective_fps == pytest.approx(1 / service, rel=0.01)
    assert stream.dropped_share == pytest.approx(1 - 1 / service / 30, abs=0.01)
    latency = stream.milliseconds("latency")
    assert np.percentile(latency, 99) <= 1000 * (service + 1 / 30) + 1e-6
    # A queue would grow by 70 ms a frame.
    assert latency[-50:].mean() == pytest.approx(latency[1:51].mean(), rel=0.05)


def test_a_decoder_that_falls_behind_skips_frames_and_the_newest_are_decoded() -> None:
    camera = Simulated([0.001], [0.05])
    stream = camera.run(100.0, 2.0)
    assert camera.decoded == stream.answered == 40
    assert stream.milliseconds("latency").max() <= 51 + 10 + 1e-6


def test_never_more_than_one_frame_waits_while_another_is_classified() -> None:
    camera = Simulated([0.001, 0.2, 0.03], [0.002])
    stream = camera.run(60.0, 3.0)
    assert 0 < stream.dropped < stream.captured
    answered = [(answer.captured + answer.latency, answer.slot) for answer in stream.answers]
    for (done, _), (_, taken) in pairwise(answered):
        # What is taken next is the newest that was decoded when the one before was done, or came after it.
        assert taken >= int((done - 0.002 - SLACK) * 60)


def test_a_batch_is_classified_together_and_the_rest_at_the_end() -> None:
    sizes: list[int] = []
    camera = Simulated([0.0], [0.0])

    def classify(images: Image) -> float:
        sizes.append(len(images))
        return 0.0

    stream = run_stream(camera.frames(), lambda image: image, classify, fps=10, seconds=1, batch=4, clock=camera.clock)
    assert sizes == [4, 4, 2]
    assert stream.dropped == 0


def test_what_goes_wrong_on_either_side_ends_both() -> None:
    camera = Simulated([0.0], [0.0])

    def classify(_: Image) -> float:
        raise RuntimeError("no kernel")

    with pytest.raises(RuntimeError, match="no kernel"):
        run_stream(camera.frames(), lambda image: image, classify, fps=30, seconds=60, clock=camera.clock)

    def broken() -> Iterator[Image]:
        yield np.zeros((2, 2, 3), np.uint8)
        raise ValueError("cut short")

    clock = SimulatedClock()
    with pytest.raises(ValueError, match="cut short"):
        run_stream(broken(), lambda image: image, lambda _: 0.0, fps=30, seconds=60, clock=clock)


def test_the_machines_own_clock_and_threads_keep_the_same_count() -> None:
    shown: list[int] = []

    def frames() -> Iterator[Image]:
        for number in range(10**9):
            yield np.full((1, 1, 3), number % 200, np.uint8)

    def classify(images: Image) -> float:
        shown.append(int(images[0, 0, 0, 0]))
        return 0.0

    stream = run_stream(frames(), lambda image: image, classify, fps=500, seconds=0.2)
    assert stream.captured == 100 == stream.answered + stream.dropped
    assert shown == sorted(shown)
    assert len(shown) == stream.answered > 0
