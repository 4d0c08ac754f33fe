"""Converters that want a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}


def run_module(module: str, arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
    """Run ``python -m module arguments``.

    Raises
    ------
    RuntimeError
        Where it fails; the message is the last line that it wrote to stderr.
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
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise RuntimeError(lines[-1] if lines else f"{module} ended with status {done.returncode}")
