"""Serve a bundle's live page to browsers on this machine."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console
from rich.text import Text

from wellai_exp.export import bundle_site, read_bundle
from wellai_exp.verbs._numbers import whole_number


def run(cfg: DictConfig) -> None:
    """Verify the bundle, and serve it until Ctrl-C."""
    port = whole_number("port", cfg.port, "type --port 8000")
    bundle = read_bundle(Path(str(cfg.bundle)))
    console = Console()
    with bundle_site(bundle, port) as site:
        console.print(Text.assemble(bundle.title, " on ", (site.address, "bold"), "; Ctrl-C ends it"), soft_wrap=True)
        try:
            site.serve_forever()
        except KeyboardInterrupt:
            console.print("stopped")
