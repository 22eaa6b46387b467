"""The networks of the proxy's machine or container, and their routers.

Read from the kernel's routing tables in /proc/net, repeatedly: a running container may be connected to
another network.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import Final, TypeAlias

IPAddress: TypeAlias = IPv4Address | IPv6Address
IPNetwork: TypeAlias = IPv4Network | IPv6Network

_READ_EVERY_S: Final = 5.0
_UP, _GATEWAY = 1, 2
_LOOPBACK: Final = "lo"


@dataclass(frozen=True, slots=True)
class Networks:
    """The networks that are reached without a router (`near`), and the routers."""

    near: tuple[IPNetwork, ...] = ()
    routers: frozenset[IPAddress] = frozenset()


def read_networks(routes: str, routes_v6: str) -> Networks:
    """Parse /proc/net/route and /proc/net/ipv6_route."""
    near: dict[IPNetwork, None] = {}
    routers: set[IPAddress] = set()
    found: list[tuple[IPNetwork, IPAddress | None]] = [*_ipv4(routes), *_ipv6(routes_v6)]
    for network, router in found:
        if router is not None:
            routers.add(router)
        elif network.prefixlen > 0 and not network.is_multicast:
            near[network] = None
    return Networks(tuple(near), frozenset(routers))


class NetworkView:
    """The current networks. `run` never returns by itself."""

    def __init__(self) -> None:
        self.networks = Networks()

    def __repr__(self) -> str:
        return f"<NetworkView {', '.join(map(str, self.networks.near))}>"

    async def look(self) -> None:
        """Read the routing tables."""
        self.networks = await asyncio.to_thread(_read)

    async def run(self) -> None:
        """Keep them current, until cancelled."""
        while True:
            await asyncio.sleep(_READ_EVERY_S)
            await self.look()


def _read() -> Networks:
    return read_networks(_text("/proc/net/route"), _text("/proc/net/ipv6_route"))


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""  # without IPv6 there is no such file


def _ipv4(routes: str) -> Iterator[tuple[IPv4Network, IPv4Address | None]]:
    """Yield each route's network, and its router if it has one. The addresses are in the machine's byte
    order, which is little-endian wherever TensorFlow runs.
    """
    for line in routes.splitlines()[1:]:
        name, destination, gateway, flags, *_, mask, _, _, _ = line.split()
        if name != _LOOPBACK and int(flags, 16) & _UP:
            network = IPv4Network((_from_little_endian(destination), bin(int(mask, 16)).count("1")))
            yield network, IPv4Address(_from_little_endian(gateway)) if int(flags, 16) & _GATEWAY else None


def _from_little_endian(digits: str) -> int:
    return int.from_bytes(bytes.fromhex(digits), "little")


def _ipv6(routes: str) -> Iterator[tuple[IPv6Network, IPv6Address | None]]:
    for line in routes.splitlines():
        destination, bits, _, _, gateway, _, _, _, flags, name = line.split()
        if name != _LOOPBACK and int(flags, 16) & _UP:
            network = IPv6Network((int(destination, 16), int(bits, 16)))
            yield network, IPv6Address(int(gateway, 16)) if int(flags, 16) & _GATEWAY else None
