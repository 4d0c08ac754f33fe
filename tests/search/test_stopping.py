"""A signal counts even where Python drops the exception that it raised, or a library answers it with its own."""

from __future__ import annotations

import os
import signal
import weakref
from pathlib import Path

import pytest
from test_study import make_study, measure, run

from wellai_exp import stopping
from wellai_exp.search import Proposal, Report

either_signal = pytest.mark.parametrize(
    ("number", "kind"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, stopping.Terminated)]
)


class Held:
    """Something to die."""


@pytest.fixture
def _handlers() -> object:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    stopping.listen()
    yield
    stopping.listen()
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("_handlers")
@either_signal
def test_a_signal_that_a_library_turns_into_an_error_stops_the_search_and_fails_no_trial(
    tmp_path: Path, number: int, kind: type[KeyboardInterrupt]
) -> None:
    def answered(proposal: Proposal, report: Report) -> dict[str, float]:
        if proposal.number == 2:
            try:
                os.kill(os.getpid(), number)
            finally:
                raise AttributeError("half-way through a clean-up")
        return measure(proposal, report)

    with pytest.raises(kind):
        run(make_study(tmp_path), answered)
    stopping.listen()
    study = make_study(tmp_path)
    with study.opened():
        assert study.finished == 2
    run(study)
    assert set(study.trials()["state"]) == {"COMPLETE"}


@pytest.mark.usefixtures("_handlers")
def test_an_error_without_a_signal_stays_what_it_is() -> None:
    with pytest.raises(ValueError, match="plain"), stopping.heeded():
        raise ValueError("plain")


@pytest.mark.usefixtures("_handlers")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@either_signal
def test_a_signal_inside_a_weak_references_callback_still_stops_the_search(
    tmp_path: Path, number: int, kind: type[KeyboardInterrupt]
) -> None:
    def dropped(proposal: Proposal, report: Report) -> dict[str, float]:
        if proposal.number == 2:
            held = Held()
            reference = weakref.ref(held, lambda _: os.kill(os.getpid(), number))
            del held
            assert reference() is None
        return measure(proposal, report)

    with pytest.raises(kind):
        run(make_study(tmp_path), dropped)
    stopping.listen()
    study = make_study(tmp_path)
    with study.opened():
        assert study.finished == 3
    run(study)
    assert len(study.trials()) == 8
