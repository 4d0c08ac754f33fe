"""Which addresses may be connected to: public ones, and what the user exempts."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from wellai_exp.errors import SettingError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
AddrInfo = tuple[int, int, int, str, tuple[Any, ...]]

# IANA's special-purpose registries (RFC 6890 and later entries), spelled out because what ipaddress calls global
# differs between versions of Python; and Azure's public address that is its own machines' host.
_SPECIAL_V4 = tuple(
    ipaddress.IPv4Network(block)
    for block in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24"),
        *("203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "168.63.129.16/32"),
    )
)
_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")
_SPECIAL_V6 = tuple(ipaddress.IPv6Network(block) for block in ("2001::/23", "2001:db8::/32", "3fff::/20"))
# Blocks whose addresses carry an IPv4 address, and by how many bits it stands to the left: mapped (RFC 4291),
# translated (RFC 2765), NAT64 (RFC 6052), 6to4 (RFC 3056).
_CARRIERS = (
    (ipaddress.IPv6Network("::ffff:0:0/96"), 0),
    (ipaddress.IPv6Network("::ffff:0:0:0/96"), 0),
    (ipaddress.IPv6Network("64:ff9b::/96"), 0),
    (ipaddress.IPv6Network("2002::/16"), 80),
)


class UnsafeAddress(OSError):
    """An address that may not be connected to; an OSError, because connecting is where it is found."""


def is_public(address: Address) -> bool:
    """Tell whether an address is one of the open internet, by itself and by any IPv4 address inside it.

    Private, loopback, link-local, multicast, documentation and reserved addresses are not. Teredo's (RFC 4380) are
    refused whole.
    """
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in block for block in _SPECIAL_V4) and address.is_global
    for block, shift in _CARRIERS:
        if address in block:
            return is_public(ipaddress.IPv4Address(int(address) >> shift & 0xFFFFFFFF))
    return address in _GLOBAL_V6 and not any(address in block for block in _SPECIAL_V6) and address.is_global


@dataclass(frozen=True)
class Gate:
    """Lets connections through to public addresses and to exempted pairs of address and port.

    Parameters
    ----------
    allow : sequence of str
        Exempted pairs, e.g. ``127.0.0.1:8000`` or ``[::1]:8000``.

    Raises
    ------
    SettingError
        Where one is no such pair.
    """

    allow: Sequence[str] = ()
    _pairs: frozenset[tuple[Address, int]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_pairs", frozenset(_pair(each) for each in self.allow))

    def check(self, host: str, port: int) -> None:
        """Refuse a numeric address that may not be connected to at that port.

        Raises
        ------
        UnsafeAddress
            Where it is not public and not exempted.
        """
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            raise UnsafeAddress(f"{host} is no address") from None
        if (address, port) not in self._pairs and not is_public(address):
            raise UnsafeAddress(f"{host} is not a public address")

    def open(self, info: AddrInfo) -> socket.socket:
        """Make the socket for the very address that is about to be connected to, where that is let through."""
        family, kind, protocol, _, target = info
        self.check(str(target[0]), int(target[1]))
        return socket.socket(family, kind, protocol)


def _pair(text: str) -> tuple[Address, int]:
    host, _, port = str(text).rpartition(":")
    try:
        # An IPv6 address wants its brackets, as in a URL.
        address = ipaddress.IPv6Address(host[1:-1]) if host.startswith("[") else ipaddress.IPv4Address(host)
        number = int(port)
        if not 1 <= number <= 65_535:
            raise ValueError(port)
    except ValueError:
        raise SettingError(
            "collect.allow",
            text,
            "it is no numeric address with a port",
            "set collect.allow='[127.0.0.1:8000]', or [] to exempt nothing",
        ) from None
    return address, number
