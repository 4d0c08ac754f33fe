"""The runtimes of the config group of that name, by their options."""

from __future__ import annotations

from hydra.core.global_hydra import GlobalHydra

from wellai_exp.config import Composer, build
from wellai_exp.errors import SettingError, TrialFailed
from wellai_exp.export import Runtime


def runtime_names() -> list[str]:
    """List the options: the current folder's own and the shipped ones."""
    loader = GlobalHydra.instance().config_loader()
    return sorted(loader.get_group_options("runtime"))


def runtime_named(name: str, setting: str = "runtime") -> Runtime:
    """Make a runtime of its option.

    Raises
    ------
    SettingError
        Where there is no such option.
    """
    known = runtime_names()
    if name not in known:
        raise SettingError(setting, name, "there is no such runtime", f"choose from {', '.join(known)}")
    try:
        runtime: Runtime = build(Composer.running().trial([f"runtime={name}"]), "runtime")
    except TrialFailed as failed:
        # The command line makes a sentence of Hydra's own error, which is what the user of a verb typed wrong.
        raise failed.__cause__ or failed from None
    return runtime
