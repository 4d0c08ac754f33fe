"""Where configuration is found: the user's own folders first, then the shipped ones."""

from __future__ import annotations

from pathlib import Path

from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult
from hydra.plugins.search_path_plugin import SearchPathPlugin

from wellai_exp.config._guard import install
from wellai_exp.paths import shipped_dir

GROUP = "experiment"
Names = list[str]  # `list` is a method of the class below


class ExperimentSource(FileConfigSource):
    """Show the files of a flat folder ``experiments/`` as the group ``experiment``.

    Hydra wants a folder named like the group below a root; an experiment is a file that people open and send, so it
    lies flat in a folder of its own.
    """

    @staticmethod
    def scheme() -> str:
        """Give the scheme of this source's paths."""
        return "experiments"

    @staticmethod
    def _inside(config_path: str) -> str | None:
        """Give the path below the folder, or None for what is not in the group."""
        if config_path == GROUP:
            return ""
        return config_path.removeprefix(f"{GROUP}/") if config_path.startswith(f"{GROUP}/") else None

    def load_config(self, config_path: str) -> ConfigResult:
        """Load ``experiment/NAME`` from ``NAME.yaml``."""
        return super().load_config(self._inside(config_path) or "")

    def available(self) -> bool:
        """Tell whether the folder exists."""
        return Path(self.path).is_dir()

    def is_group(self, config_path: str) -> bool:
        """Tell whether this is the root, the group, or a folder in it."""
        if config_path == "":
            return True
        inside = self._inside(config_path)
        return inside is not None and super().is_group(inside)

    def is_config(self, config_path: str) -> bool:
        """Tell whether the group holds this experiment."""
        inside = self._inside(config_path)
        return bool(inside) and super().is_config(str(inside))

    def list(self, config_path: str, results_filter: ObjectType | None) -> Names:
        """List the group at the root, and the experiments in the group."""
        if config_path == "":
            return [GROUP] if results_filter in (None, ObjectType.GROUP) else []
        inside = self._inside(config_path)
        if inside is None or not super().is_group(inside):
            return []
        files: Names = []
        for entry in (Path(self.path) / inside).iterdir():
            if entry.suffix == ".yaml" or entry.is_dir():
                self._list_add_result(files, f"{config_path}/{entry.name}", entry.name, results_filter)
        return sorted(set(files))


class WellaiSearchPath(SearchPathPlugin):
    """Put the current folder's ``conf/`` and ``experiments/`` before the shipped ones."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Add the folders; Hydra has put the shipped ``conf`` in as its main one."""
        own, own_experiments = Path.cwd() / "conf", Path.cwd() / "experiments"
        search_path.append("wellai-experiments", f"experiments://{shipped_dir('experiments')}")
        # Prepended last comes first; a checkout's own folders are the shipped ones already.
        if own_experiments != shipped_dir("experiments") and own_experiments.is_dir():
            search_path.prepend("own-experiments", f"experiments://{own_experiments}")
        if own != shipped_dir("conf") and own.is_dir():
            search_path.prepend("own", f"file://{own}")


def register_plugins() -> None:
    """Tell Hydra of both, and guard what it composes; calling it twice does nothing more."""
    plugins = Plugins.instance()
    install()
    plugins.register(ExperimentSource)
    plugins.register(WellaiSearchPath)
