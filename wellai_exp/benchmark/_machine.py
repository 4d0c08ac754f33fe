"""What a latency depends on besides the network: the processor, its cores, and the libraries."""

from __future__ import annotations

import platform
import re
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path

from wellai_exp.runtime import cores

_LIBRARIES = ("tensorflow", "keras", "ai-edge-litert", "onnxruntime")


@cache
def machine() -> str:
    """Name the machine and what runs on it; figures from two machines of one name can be compared."""
    libraries = [f"{library} {version(library)}" for library in _LIBRARIES]
    return ", ".join([_processor(), f"{cores()} cores", *libraries])


def _processor() -> str:
    if sys.platform == "linux":
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
        if found:
            return found[1].strip()
    return platform.processor() or platform.machine()
