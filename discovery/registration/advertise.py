"""Which address a worker or a proxy advertises."""

from __future__ import annotations

import socket
from typing import Final

from tfleet.contract.address import Address, is_loopback, is_unspecified

# Documentation addresses (RFC 5737, RFC 3849), so the route to them is the default route. Nothing is sent.
_OUTSIDE: Final = Address("192.0.2.1", 9)
_OUTSIDE_IPV6: Final = Address("2001:db8::1", 9)


def advertised(listening: Address, chosen: Address | None, towards: Address | None) -> Address:
    """Return the address of `--advertise`, otherwise the address that the process listens on.

    If it listens on every interface, this is the address that this machine uses towards the registry
    (`towards`); with a registry on the same machine, the one that it uses towards other machines. Raises
    OSError if there is no route to the registry, or its name cannot be resolved.
    """
    if chosen is not None:
        return chosen
    if not is_unspecified(listening.host) or towards is None:
        return listening
    own = _own_address(towards)
    # A socket on :: does not answer on IPv4 addresses, nor one on 0.0.0.0 on IPv6: the families must match.
    ipv6 = _is_ipv6(listening.host)
    if is_loopback(own) or _is_ipv6(own) != ipv6:
        own = network_address(ipv6=ipv6) or own
    return Address(own, listening.port)


def network_address(*, ipv6: bool = False) -> str | None:
    """Return this machine's address on its default route, which others most likely use; None without
    a route.
    """
    try:
        return _own_address(_OUTSIDE_IPV6 if ipv6 else _OUTSIDE)
    except OSError:
        return None


def advice(listening: Address) -> str:
    """Return what to check if other machines cannot reach a worker at its advertised address."""
    return (
        f"this worker listens on {listening}: check --advertise, --host and, with a container, the published "
        "port; --no-self-test skips this test"
    )


def wan_advice(inside: Address) -> str:
    """Return what to check if outside clients cannot reach a worker at its WAN address."""
    return (
        f"until it is reached, outside clients get {inside}: check --advertise-wan, the published port and "
        "the firewall; --no-self-test skips this test"
    )


def _is_ipv6(host: str) -> bool:
    return ":" in host


def _own_address(towards: Address) -> str:
    """Return this machine's address on the route to another one. Connecting a UDP socket sends nothing."""
    family, kind, protocol, _, target = socket.getaddrinfo(
        towards.host, towards.port, type=socket.SOCK_DGRAM
    )[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.connect(target)
        return str(probe.getsockname()[0])
