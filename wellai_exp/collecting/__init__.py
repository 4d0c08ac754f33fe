"""From a list of URLs to a folder of images that can be trusted."""

from __future__ import annotations

from wellai_exp.collecting._collect import Watcher, collect
from wellai_exp.collecting._journal import Record
from wellai_exp.collecting._limits import Limits

__all__ = ["Limits", "Record", "Watcher", "collect"]
