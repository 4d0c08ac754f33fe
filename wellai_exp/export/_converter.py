"""Converters that want a process of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence

_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}


def run_module(module: str, arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
    """Run ``python -m module arguments``.

    Raises
    ------
    RuntimeError
        Where it fails; the message is that of the exception with which it ended, or else its last line on stderr.
    """
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", module, *arguments],
        env={**os.environ, **_QUIET, **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        raise RuntimeError(_said(done.stderr) or f"{module} ended with status {done.returncode}")


def _said(stderr: str) -> str:
    """Give the message of the exception that ends a traceback, which may take several lines."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    begins = [number for number, line in enumerate(lines) if re.match(r"[\w.]+(Error|Exception): ", line)]
    return " ".join(lines[begins[-1] :] if begins else lines[-1:])
