"""Fetch the photographs of a list of URLs into a folder."""

from __future__ import annotations

import shlex
from collections import Counter

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console
from rich.text import Text

from wellai_exp.collecting import Limits, collect
from wellai_exp.config import build
from wellai_exp.data import COLLECTED, LinkedSource
from wellai_exp.errors import SettingError
from wellai_exp.verbs._collect_screen import CollectScreen, classes_table, list_table


def run(cfg: DictConfig) -> None:
    """Collect what the data option lists, and end with a table of its classes."""
    source = build(cfg, "data")
    if not isinstance(source, LinkedSource):
        raise SettingError(
            "data", source.name, "it lists no URLs", "choose data=links with data.table=FILE.csv, or data=yoga82"
        )
    limits: Limits = build(cfg, "collect")
    listed = source.links()
    console = Console()
    console.print(list_table(listed.counts))
    with CollectScreen(console).shown() as screen:
        records = collect(source.root, listed.links, limits, screen)
    console.print(classes_table(records))
    verdicts = Counter(record.verdict for record in records)
    where = f"{verdicts['got']:,} of {len(records):,} photographs are in {source.root}"
    console.print(Text(f"{where}; {COLLECTED} there says what became of each"), soft_wrap=True)
    data = [f"data={HydraConfig.get().runtime.choices['data']}"]
    data += [override for override in HydraConfig.get().overrides.task if override.startswith("data.")]
    commands = [["sweep", *data]] if verdicts["got"] else []
    commands += [["collect", *data, "collect.again=[dead]"]] if verdicts["dead"] else []
    if commands:
        console.print("Next:")
    for command in commands:
        console.print(Text(f"  {shlex.join(['wellai-exp', *command])}", style="bold green"), soft_wrap=True)
