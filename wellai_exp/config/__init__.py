"""Compose configuration and turn it into objects; nothing above or below does either."""

from wellai_exp.config._compose import Composer
from wellai_exp.config._door import SPACE_KEY, build
from wellai_exp.config._elsewhere import Sources
from wellai_exp.config._grammar import parse_distribution
from wellai_exp.config._kept import config_text, keep_config
from wellai_exp.config._search_path import register_plugins

__all__ = [
    "SPACE_KEY",
    "Composer",
    "Sources",
    "build",
    "config_text",
    "keep_config",
    "parse_distribution",
    "register_plugins",
]
