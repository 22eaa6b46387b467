"""Which machines an HTTP check may reach: only the one that registered it.

Else whoever may register could have the registry look around in a network that he does not reach himself. So
the address that is connected to has to be the one that the registration came from; where that is this very
machine, any of its addresses. The name in the URL is looked up anew for each run, and what was found is what
is connected to, so that a name can't lead elsewhere in between.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

LookUp = Callable[[str, int], Awaitable[Iterable[str]]]
"""Gives the addresses of a name; raises OSError where nobody knows it."""

Bind = Callable[[str], None]
"""Takes an address for a moment; raises OSError where the kernel does not let it."""

# In documentation only (RFC 5737, RFC 3849): no machine has them.
_NOBODYS: Final = {4: "198.51.100.1", 6: "2001:db8::1"}


class UnreachableTargetError(Exception):
    """The URL leads to another machine. The message says whereto, in words for the check's output."""


async def reached(host: str, port: int, registrant: str, look_up: LookUp) -> list[str]:
    """The addresses of a host that a check of this registrant may reach. An address is not looked up.

    Raises OutOfReachError where there is none, and OSError where the name is not known.
    """
    found = [host] if _parsed(host) else await look_up(host, port)
    return reachable_of(found, registrant, is_ours)


def addresses_of(host: str, port: int) -> list[str]:
    """What the system's resolver says. It may take its time. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


def reachable_of(addresses: Iterable[str], registrant: str, is_ours: Callable[[str], bool]) -> list[str]:
    """Those of the addresses that are the registrant's. Raises OutOfReachError where none is."""
    addresses = list(addresses)
    own = plain(registrant)
    near = is_ours(own)
    within = [each for each in addresses if plain(each) == own or (near and is_ours(plain(each)))]
    if not within:
        raise UnreachableTargetError(
            f"the registry tries only the address that registered it, {own}, and not {', '.join(addresses)} "
            "(behind a NAT: --no-self-test)"
        )
    return within


def plain(address: str) -> str:
    """An address in one spelling; an IPv4 address that IPv6 has wrapped is unwrapped."""
    parsed = _parsed(address)
    if parsed is None:
        return address
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return str(mapped or parsed)


def bind(address: str) -> None:
    """Ask the kernel for an address, and give it back. Raises OSError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.bind((address, 0))


def is_ours(address: str, bind: Bind = bind) -> bool:
    """Whether an address is one of this machine's: the kernel lets nobody bind to another one.

    With net.ipv4.ip_nonlocal_bind=1 (a machine that waits to take over an address) it lets everybody bind to
    any. Then nobody can tell, and only loopback is ours.
    """
    parsed = _parsed(address)
    if parsed is None:
        return False
    return parsed.is_loopback or (_binds(address, bind) and not _binds(_NOBODYS[parsed.version], bind))


def _binds(address: str, bind: Bind) -> bool:
    try:
        bind(address)
    except OSError:
        return False
    return True


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(address)
    except ValueError:
        return None
