"""Which machines an HTTP check may reach: only the one that registered it.

Otherwise anybody who may register could make the registry send requests into networks that they cannot
reach themselves (SSRF). The address that is connected to must be the one that the registration came from
or, if that is this machine, any address of this machine. The host name in the URL is resolved for each
run, and the connection goes to the resolved address, so that the name cannot resolve to another one in
between.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

LookUp = Callable[[str, int], Awaitable[Iterable[str]]]
"""Returns the addresses of a name; raises OSError if it is unknown."""

Bind = Callable[[str], None]
"""Binds to an address for a moment; raises OSError if the kernel refuses."""

# Documentation addresses (RFC 5737, RFC 3849): no machine has them.
_UNUSED: Final = {4: "198.51.100.1", 6: "2001:db8::1"}


class UnreachableTargetError(Exception):
    """The URL leads to another machine. The message names it, for the check's output."""


async def allowed_addresses(host: str, port: int, registrant: str, look_up: LookUp) -> list[str]:
    """Return the addresses of a host that a check of this registrant may reach. An IP address is not
    resolved.

    Raises UnreachableTargetError if there is none, and OSError if the name is unknown.
    """
    found = [host] if _parsed(host) else await look_up(host, port)
    return reachable_of(found, registrant, is_local)


def addresses_of(host: str, port: int) -> list[str]:
    """Resolve a name with the system's resolver, which may block. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


def reachable_of(addresses: Iterable[str], registrant: str, is_local: Callable[[str], bool]) -> list[str]:
    """Return those addresses that are the registrant's. Raises UnreachableTargetError if none is."""
    addresses = list(addresses)
    own = normalized(registrant)
    near = is_local(own)
    within = [each for each in addresses if normalized(each) == own or (near and is_local(normalized(each)))]
    if not within:
        raise UnreachableTargetError(
            f"the registry checks only the address that registered it, {own}, and not {', '.join(addresses)} "
            "(behind a NAT: --no-self-test)"
        )
    return within


def normalized(address: str) -> str:
    """Return the address in one spelling; an IPv4-mapped IPv6 address becomes IPv4."""
    parsed = _parsed(address)
    if parsed is None:
        return address
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return str(mapped or parsed)


def check_bindable(address: str) -> None:
    """Bind to an address, and release it. Raises OSError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.bind((address, 0))


def is_local(address: str, bind: Bind = check_bindable) -> bool:
    """Whether the address is one of this machine's: the kernel allows binding only to those.

    With net.ipv4.ip_nonlocal_bind=1 (on a machine that may take over an address) it allows any. Then only
    loopback addresses count as local.
    """
    parsed = _parsed(address)
    if parsed is None:
        return False
    return parsed.is_loopback or (_binds(address, bind) and not _binds(_UNUSED[parsed.version], bind))


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
