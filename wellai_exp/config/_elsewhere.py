"""Compose in another process what the running command composes here."""

from __future__ import annotations

import os
from dataclasses import dataclass

from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
from hydra._internal.hydra import Hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from wellai_exp.config._search_path import register_plugins


@dataclass(frozen=True)
class Sources:
    """Where the running command finds its configuration, in order.

    Parameters
    ----------
    places : tuple of (str, str)
        Who named each, and its address.
    """

    places: tuple[tuple[str, str], ...]

    @classmethod
    def running(cls) -> Sources:
        """Give those of the command that Hydra runs now."""
        sources = HydraConfig.get().runtime.config_sources
        return cls(tuple((str(each.provider), f"{each.schema}://{each.path}") for each in sources))

    def begin(self) -> None:
        """Have this process compose from them."""
        register_plugins()
        OmegaConf.register_new_resolver("wellai.pid", os.getpid, replace=True)
        path = ConfigSearchPathImpl()
        for provider, address in self.places:
            path.append(provider, address)
        GlobalHydra.instance().clear()
        Hydra.create_main_hydra2(task_name="worker", config_search_path=path)
