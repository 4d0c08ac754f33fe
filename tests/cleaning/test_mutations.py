"""Whatever a file's bytes are, a look at it ends, in time and within its memory, with a picture or a reason."""

from __future__ import annotations

import resource
import struct
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from drawn_files import encoded, scene

from wellai_exp.cleaning import Failure, Limits, isolated, look

_KINDS: list[tuple[str, dict[str, Any]]] = [
    ("JPEG", {}),
    ("JPEG", {"progressive": True, "quality": 60}),
    ("PNG", {}),
    ("WEBP", {}),
    ("WEBP", {"lossless": True}),
    ("GIF", {}),
    ("BMP", {}),
    ("TIFF", {}),
    ("TIFF", {"compression": "tiff_lzw"}),
    ("AVIF", {}),
]
SEEDS: tuple[tuple[str, bytes], ...] = tuple(
    (kind, encoded(scene(index, 120, 90), kind, **options)) for index, (kind, options) in enumerate(_KINDS)
)


def mutated(number: int) -> bytes:
    """Damage one of the pictures in one of eight ways; the number decides everything."""
    rng = np.random.default_rng(number)
    _, content = SEEDS[number % len(SEEDS)]
    data = bytearray(content)
    size = len(data)
    kind = int(rng.integers(8))
    at = int(rng.integers(size))
    if kind == 0:
        for _ in range(int(rng.integers(1, 30))):
            data[int(rng.integers(size))] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        del data[at:]
    elif kind == 2:  # the header, where sizes and counts stand
        for _ in range(int(rng.integers(1, 12))):
            data[int(rng.integers(min(96, size)))] = int(rng.integers(256))
    elif kind == 3:
        data[at : at + int(rng.integers(1, 2000))] = b"\0" * len(data[at : at + int(rng.integers(1, 2000))])
    elif kind == 4:  # the head of one format on the body of another
        other = SEEDS[int(rng.integers(len(SEEDS)))][1]
        data = data[:at] + other[int(rng.integers(len(other))) :]
    elif kind == 5:  # a large number somewhere
        data[at : at + 4] = struct.pack(str(rng.choice(["<I", ">I"])), int(rng.integers(2**16, 2**32)))
    elif kind == 6:
        data[at:at] = rng.integers(0, 256, int(rng.integers(1, 500)), np.uint8).tobytes()
    else:
        del data[at : at + int(rng.integers(1, 300))]
    return bytes(data)


class Seen(NamedTuple):
    """What a look at one mutation came to."""

    problem: str
    width: int
    peak_gb: float
    seconds: float


def look_at_mutation(task: tuple[int, str]) -> Seen:
    """Write a mutation down and look at it, in a worker."""
    number, folder = task
    path = Path(folder) / f"{number}.bin"
    path.write_bytes(mutated(number))
    started = time.perf_counter()
    found = look(path)
    path.unlink()
    assert bool(found.problem) == (found.width == 0)
    assert bool(found.problem) == bool(found.reason)
    assert found.problem or (found.thumbnail and np.isfinite(list(found.measures.values())).all())
    return Seen(found.problem, found.width, _peak() / 2**30, time.perf_counter() - started)


def _peak() -> int:
    """Give the most memory that this process has had resident, bytes.

    On Linux a child's ru_maxrss begins with what its parent had, be it started afresh or not.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024)


def check(count: int, folder: Path) -> dict[str, int]:
    limits = Limits()
    tasks = [(number, str(folder)) for number in range(count)]
    failures: list[tuple[int, Failure]] = []
    problems: dict[str, int] = {}
    for number, found in isolated(look_at_mutation, tasks, limits):
        if isinstance(found, Failure):
            failures.append((number, found))
            continue
        problems[found.problem] = problems.get(found.problem, 0) + 1
        assert found.peak_gb < limits.memory_gb
        assert found.seconds < limits.seconds
    assert not failures
    assert sum(problems.values()) == count
    return problems


def test_mutations_of_a_seed_are_always_the_same() -> None:
    assert [mutated(number) for number in range(20)] == [mutated(number) for number in range(20)]
    assert len({mutated(number) for number in range(200)}) > 190


def test_three_hundred_mutations_end_with_a_picture_or_a_reason(tmp_path: Path) -> None:
    problems = check(300, tmp_path)
    # Of every outcome some, or the mutations would be too tame or too wild to say anything.
    assert min(problems[""], problems["unreadable"]) > 20


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_ten_thousand_mutations_end_with_a_picture_or_a_reason(tmp_path: Path) -> None:
    problems = check(10_000, tmp_path)
    print(problems)
    assert problems["unreadable"] > 1000
