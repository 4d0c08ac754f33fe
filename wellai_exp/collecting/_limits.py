"""The settings of a collection, checked when they are made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from wellai_exp.collecting._addresses import Gate
from wellai_exp.errors import SettingError

VERDICTS = ("got", "dead", "refused")
_WHOLE = {
    "concurrency": (1, 500, 64),
    "per_host": (1, 500, 2),
    "tries": (1, 20, 3),
    "redirects": (0, 20, 3),
    "url_length": (1, 100_000, 4_000),
    "offline": (0, 1_000_000, 50),
}
_NUMBERS = {
    "pause": (0.0, 3_600.0, 0.5),
    "seconds": (0.01, 3_600.0, 30),
    "megabytes": (0.001, 1_000.0, 20),
    "backoff": (0.0, 3_600.0, 1.0),
    "longest_wait": (0.0, 86_400.0, 60),
}


@dataclass(frozen=True)
class Limits:
    """How URLs are fetched, and what is refused.

    Parameters
    ----------
    concurrency : int
        Requests under way at once.
    per_host : int
        Requests under way at once at one host.
    pause : float
        Seconds between the starts of two requests to one host.
    seconds : float
        Seconds in all for one try of a URL: names, connections, redirects, the last byte.
    tries : int
        Tries of a URL whose failure may pass.
    backoff : float
        Seconds before the second try; doubled for each further one, and drawn between half of that and all of it.
    longest_wait : float
        The most seconds that a server may ask to wait (Retry-After) before its URL is given up.
    redirects : int
        Redirects that are followed.
    megabytes : float
        The most that a photograph may have, as it comes and unpacked, in 10⁶ bytes.
    url_length : int
        The most characters of a URL.
    robots : sequence of str
        Directives of X-Robots-Tag that refuse a photograph; empty honours none.
    allow : sequence of str
        Pairs of address and port exempt from the rule that only public addresses are connected to.
    offline : int
        So many hosts in a row that cannot be looked up or reached from here stop the collection, because it is this
        machine then that has no network; 0 never stops.
    user_agent : str
        How the requests call themselves.
    again : sequence of str
        Verdicts of earlier runs to try again: dead, refused.

    Raises
    ------
    SettingError
        Where a setting cannot work.
    """

    concurrency: int = 64
    per_host: int = 2
    pause: float = 0.5
    seconds: float = 30.0
    tries: int = 3
    backoff: float = 1.0
    longest_wait: float = 60.0
    redirects: int = 3
    megabytes: float = 20.0
    url_length: int = 4_000
    robots: Sequence[str] = ("noai", "noimageai", "noindex")
    allow: Sequence[str] = ()
    offline: int = 50
    user_agent: str = "wellai-exp (image collector)"
    again: Sequence[str] = ()

    def __post_init__(self) -> None:
        for name, (least, most, usual) in {**_WHOLE, **_NUMBERS}.items():
            value = getattr(self, name)
            kind = int if name in _WHOLE else (int, float)
            # Written so that NaN fails too.
            if isinstance(value, bool) or not isinstance(value, kind) or not least <= value <= most:
                what = "a whole number" if name in _WHOLE else "a number"
                raise SettingError(
                    f"collect.{name}",
                    value,
                    f"it must be {what} from {least:g} to {most:g}",
                    f"set collect.{name}={usual}",
                )
        for name in ("robots", "allow", "again"):
            value = getattr(self, name)
            if isinstance(value, str) or not isinstance(value, Sequence):
                raise SettingError(f"collect.{name}", value, "it must be a list", f"set collect.{name}=[]")
            object.__setattr__(self, name, tuple(str(each).strip().lower() for each in value))
        for verdict in self.again:
            if verdict not in VERDICTS[1:]:
                raise SettingError(
                    "collect.again",
                    verdict,
                    f"the choices are {' and '.join(VERDICTS[1:])}",
                    "set collect.again=[dead]",
                )
        if not str(self.user_agent).isascii() or not str(self.user_agent).isprintable() or not self.user_agent:
            raise SettingError(
                "collect.user_agent",
                repr(self.user_agent),
                "a header is one line of plain ASCII",
                "set collect.user_agent='wellai-exp'",
            )
        # At birth, so that a pair that is none is refused then.
        Gate(self.allow)

    @cached_property
    def gate(self) -> Gate:
        """What may be connected to."""
        return Gate(self.allow)

    @property
    def most_bytes(self) -> int:
        """The most bytes of a photograph."""
        return int(self.megabytes * 1e6)
