"""``python -m wellai_exp.compute``: a worker; its parent starts it, or a cluster for it, and nobody else."""

from __future__ import annotations

import ctypes
import logging
import os
import pickle
import signal
import sys
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any

from wellai_exp import milestones, stopping
from wellai_exp.compute._entrance import read_entrance
from wellai_exp.compute._link import Link
from wellai_exp.compute._messages import (
    Assigned,
    Ended,
    Finished,
    Free,
    Hired,
    Job,
    Reported,
    Said,
    Verdict,
    Work,
)
from wellai_exp.errors import StoreError, TrialFailed
from wellai_exp.masking import Masking
from wellai_exp.search import Pruned, Superseded, reason_of

logger = logging.getLogger(__name__)
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


class AskingReport:
    """Reports to the parent and does what it answers.

    Parameters
    ----------
    link : Link
        To the parent.
    number : int
        The trial.
    """

    def __init__(self, link: Link, number: int) -> None:
        self._link = link
        self._number = number
        self._handed_in = False

    def __call__(self, epoch: int, metrics: Mapping[str, float], *, last: bool = False) -> None:
        """Raise :class:`Pruned` where the trial shall stop, :class:`Superseded` where it is another's by now."""
        self._ask(Reported(self._number, epoch, dict(metrics), last))

    def finished(self, metrics: Mapping[str, float]) -> None:
        """Hand in the metrics, once."""
        if not self._handed_in:
            self._ask(Finished(self._number, dict(metrics)))
            self._handed_in = True
            milestones.passed(milestones.TOLD)

    def _ask(self, message: Reported | Finished) -> None:
        self._link.check(self._number)
        self._link.send(message)
        verdict: Verdict = self._link.receive()
        if verdict.kind == "prune":
            raise Pruned(verdict.text)
        if verdict.kind == "fail":
            raise TrialFailed(verdict.text)
        if verdict.kind == "drop":
            raise Superseded


def _evaluate(link: Link, work: Work, brief: Any, assigned: Assigned) -> None:
    """Evaluate one proposal and say how it ended."""
    number = assigned.proposal.number
    report = AskingReport(link, number)
    try:
        with stopping.heeded():
            report.finished(work(brief, assigned.proposal, report))
    except Superseded:
        logger.warning("trial %d was given to another worker meanwhile", number)
    except Pruned as pruned:
        link.send(Ended(number, "pruned", str(pruned)))
    except StoreError as error:
        link.send(Ended(number, "broken", str(error)))
    except Exception as error:
        logger.warning("trial %d failed", number, exc_info=True)
        link.send(Ended(number, "failed", reason_of(error)))
    except KeyboardInterrupt:
        link.send(Ended(number, "cut off"))
        raise


def _open(link: Link) -> Work:
    hired: Hired = link.receive()
    os.environ.update(hired.environment)
    job: Job = pickle.loads(hired.job)  # noqa: S301 - from the parent, over a socket that nobody else has
    current = [-1]

    def say(text: str) -> None:
        link.check(current[0])
        link.send(Said(text))

    work = job.open(say, link.send)

    def evaluate(brief: Any, proposal: Any, report: Any) -> Mapping[str, float]:
        current[0] = proposal.number
        return work(brief, proposal, report)

    return evaluate


def main() -> None:
    """Evaluate what the parent sends until it says stop or is gone."""
    line, parent, beat = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        return
    logging.basicConfig(format="[%(asctime)s][%(name)s][%(levelname)s] %(message)s")
    for handler in logging.getLogger().handlers:
        handler.addFilter(Masking())
    stopping.listen()
    # A local worker inherits its end of the line; one on another machine is told where to go.
    link = Link(read_entrance().enter() if line == "-" else Connection(int(line)), beat)
    try:
        milestones.passed(milestones.BEFORE_FIRST_BEAT)
        link.start()
        work = _open(link)
        while True:
            link.send(Free())
            assigned: Assigned = link.receive()
            _evaluate(link, work, assigned.brief, assigned)
    except KeyboardInterrupt:
        link.close()
        # At once: libraries' threads may take seconds to end, and nothing is left to write.
        os._exit(143)


if __name__ == "__main__":
    main()
