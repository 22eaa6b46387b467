"""Which machines an HTTP check may reach: only the one that registered it.

Else whoever may register could have the registry look around in a network that he does not reach himself. So
the address that is connected to has to be the one that the registration came from; where that is this very
machine, any of its addresses. The name in the URL is looked up anew for each run, and what was found is what
is connected to, so that a name can't lead elsewhere in between.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Iterable


class OutOfReachError(Exception):
    """The URL leads to another machine. The message says whereto, in words for the check's output."""


async def lookup(host: str, port: int, registrant: str) -> list[str]:
    """The addresses of a host that a check of this registrant may reach.

    Raises OutOfReachError where there is none, and OSError where the name is not known.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return within_reach(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found), registrant, is_ours)


def within_reach(addresses: Iterable[str], registrant: str, is_ours: Callable[[str], bool]) -> list[str]:
    """Those of the addresses that are the registrant's. Raises OutOfReachError where none is."""
    addresses = list(addresses)
    own = plain(registrant)
    near = is_ours(own)
    reached = [each for each in addresses if plain(each) == own or (near and is_ours(plain(each)))]
    if not reached:
        raise OutOfReachError(
            f"the registry tries only the address that registered it, {own}, and not {', '.join(addresses)}"
        )
    return reached


def plain(address: str) -> str:
    """An address in one spelling; an IPv4 address that IPv6 has wrapped is unwrapped."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return str(mapped or parsed)


def is_ours(address: str) -> bool:
    """Whether an address is one of this machine's. The kernel lets nobody bind to another one."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except (OSError, ValueError):
        return False
    return True
