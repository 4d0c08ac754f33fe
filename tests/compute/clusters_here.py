"""A cluster with room for two on this machine: it runs errands as they come, in processes of their own."""

from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import dataclass

from wellai_exp.compute._entrance import Errand
from wellai_exp.compute._remote import Remote, Ticket

_RUN = "import pickle, sys; sys.exit(pickle.load(sys.stdin.buffer).run())"


@dataclass(frozen=True)
class Here(Remote):
    """Workers that come in by the door, from next door."""

    host: str | None = "127.0.0.1"

    def _submit(self, errand: Errand) -> Ticket:
        process = subprocess.Popen([sys.executable, "-c", _RUN], stdin=subprocess.PIPE)
        assert process.stdin is not None
        process.stdin.write(pickle.dumps(errand))
        process.stdin.close()
        return _Process(process)


class _Process:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def ended(self, seconds: float) -> str:
        try:
            return f"it ended with status {self._process.wait(seconds)}"
        except subprocess.TimeoutExpired:
            return ""

    def cancel(self) -> None:
        self._process.kill()
        self._process.wait()
