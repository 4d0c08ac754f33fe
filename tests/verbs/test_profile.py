"""Seconds are counted once, for the innermost kind of work, and only where they are the command's own."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from wellai_exp import ledger
from wellai_exp.ledger import PARTS, Ledger
from wellai_exp.verbs._profile import beside, show_profile


class Hands:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


# A block: its part, the seconds before, and the blocks within.
BLOCKS: st.SearchStrategy[Any] = st.recursive(
    st.tuples(st.sampled_from(PARTS), st.integers(0, 9), st.just([])),
    lambda inner: st.tuples(st.sampled_from(PARTS), st.integers(0, 9), st.lists(inner, max_size=3)),
    max_leaves=12,
)


@given(st.lists(BLOCKS, max_size=4))
def test_every_second_counts_once_for_the_innermost_block(blocks: list[Any]) -> None:
    hands, own, expected = Hands(), Ledger(), dict.fromkeys(PARTS, 0.0)

    def walk(block: Any) -> None:
        part, seconds, within = block
        with own.of(part):
            hands.now += seconds
            expected[part] += seconds
            for each in within:
                walk(each)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger, "time", hands)
        for block in blocks:
            walk(block)
    assert {part: own.seconds.get(part, 0.0) for part in PARTS} == expected
    assert sum(own.seconds.values()) == hands.now


def test_a_block_counts_where_it_raises_and_a_function_each_time_it_is_called() -> None:
    hands, own = Hands(), Ledger()

    @own.of("fit")
    def failing() -> None:
        hands.now += 2
        raise ValueError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger, "time", hands)
        for _ in range(3):
            with pytest.raises(ValueError), own.of("evaluate"):
                hands.now += 1
                failing()
    assert own.seconds == {"fit": 6.0, "evaluate": 3.0}
    assert own.between("fit", "evaluate") == -9.0
    assert own.between("evaluate", "log") is None


def test_what_other_threads_do_is_not_the_commands_time() -> None:
    own = Ledger()

    def decode() -> None:
        with own.of("decode"):
            time.sleep(0.01)

    thread = threading.Thread(target=decode)
    with own.of("fit"):
        thread.start()
        thread.join()
    assert set(own.seconds) == {"fit"}


def test_the_share_beside_the_work_leaves_waiting_out_and_takes_workers_in() -> None:
    own = Ledger()
    own.seconds = {"import": 4.0, "fit": 30.0, "extract": 10.0, "wait": 50.0}
    assert beside(own, 100.0) == pytest.approx(1 - 40 / 50)
    own.add_elsewhere("fit", 40.0)
    own.add_elsewhere("log", 10.0)
    assert beside(own, 100.0) == pytest.approx(1 - 80 / 100)


def test_both_tables_are_shown() -> None:
    own, console = Ledger(), Console(record=True, width=100)
    with own.of("compose"):
        pass
    own.add_elsewhere("fit", 12.5)
    show_profile(console, {"fit": [1.0, 3.0], "log": [0.1]}, own)
    said = console.export_text()
    for words in (
        "Seconds a trial",
        "2.000",
        "Seconds of the whole command",
        "12.5",
        "other",
        "neither extract nor fit",
    ):
        assert words in said
