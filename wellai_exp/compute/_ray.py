"""Workers on a Ray cluster (Moritz et al. 2018, arXiv 1712.05889)."""

from __future__ import annotations

import logging
import signal
import socket
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from wellai_exp.compute._entrance import Errand
from wellai_exp.compute._remote import Remote, Ticket
from wellai_exp.errors import SettingError

_SECONDS_TO_KNOCK = 5.0


@dataclass(frozen=True)
class Ray(Remote):
    """Evaluate trials on a Ray cluster; nodes may join and leave while a sweep runs.

    Parameters
    ----------
    workers, grace_seconds, retries, cpus, gpus, host, environment
        As for every remote place; a part of a GPU is allowed.
    address : str
        Of the cluster's head, ``HOST:PORT``; ``auto`` is the one that this machine belongs to.
    """

    address: str = "auto"

    @cached_property
    def _ray(self) -> Any:
        """Join the cluster, once."""
        try:
            import ray
        except ImportError as error:
            raise SettingError(
                "compute", "ray", "the package ray is missing", "type pip install 'wellai-exp[ray]' on every node"
            ) from error
        if ray.is_initialized():
            return ray
        self._knock()
        # Ray takes the signals for itself.
        kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            ray.init(address=self.address, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, RuntimeError, TimeoutError, ValueError) as error:
            raise self._away(error) from error
        finally:
            for number, handler in kept.items():
                signal.signal(number, handler)
        return ray

    def _knock(self) -> None:
        """Refuse an address where nobody listens; Ray itself would ask again and again for minutes."""
        host, mark, port = self.address.rpartition(":")
        if not mark or not port.isdecimal() or "/" in host:
            return  # Ray's own words, or its client's address.
        try:
            with socket.create_connection((host, int(port)), timeout=_SECONDS_TO_KNOCK):
                pass
        except (OSError, OverflowError) as error:
            raise self._away(error) from error

    def _away(self, error: Exception) -> SettingError:
        return SettingError(
            "compute.address",
            self.address,
            f"no Ray cluster answers there ({(str(error).splitlines() or [type(error).__name__])[0][:200]})",
            "start one with ray start --head, or set compute.address to its head's HOST:PORT",
        )

    def _own_host(self) -> str:
        return str(self._ray.util.get_node_ip_address())

    def _submit(self, errand: Errand) -> Ticket:
        # Trying again is the parent's business, which knows what the trial was.
        options = {"num_cpus": self.cpus, "num_gpus": self.gpus, "max_retries": 0}
        return _RayTicket(self._ray, self._ray.remote(Errand.run).options(**options).remote(errand))

    def close(self) -> None:
        """Close the door and leave the cluster."""
        super().close()
        if "_ray" in self.__dict__:
            self._ray.shutdown()
            del self.__dict__["_ray"]


class _RayTicket:
    """A task of Ray's."""

    def __init__(self, ray: Any, task: Any) -> None:
        self._ray = ray
        self._task = task

    def ended(self, seconds: float) -> str:
        """Say how it ended, waiting so long at most."""
        ready, _ = self._ray.wait([self._task], timeout=seconds)
        if not ready:
            return ""
        try:
            return f"it ended with status {self._ray.get(self._task)}"
        except self._ray.exceptions.RayError as error:
            cause = getattr(error, "cause", None) or error
            return f"Ray ended it with {type(cause).__name__}: {(str(cause).splitlines() or [''])[0][:200]}"

    def cancel(self) -> None:
        """End it, running or waiting."""
        self._ray.cancel(self._task, force=True)
