"""The address that a worker or a proxy gives to the fleet."""

from __future__ import annotations

import socket
from typing import Final

from tfleet.contract.address import Address, is_loopback, is_unspecified

# Addresses that are nobody's (RFC 5737, RFC 3849) and that nothing is sent to: the way there is the default
# route.
_SOMEWHERE: Final = Address("192.0.2.1", 9)
_SOMEWHERE_IPV6: Final = Address("2001:db8::1", 9)


def advertised(listening: Address, chosen: Address | None, towards: Address | None) -> Address:
    """The address chosen with `--advertise`, else the one listened on.

    Where that is every interface, it is the one that this machine uses towards the registry (`towards`); with
    a registry or an agent on this very machine, the one that it uses towards others. Raises OSError where
    there is no way to the registry, or its name is not known.
    """
    if chosen is not None:
        return chosen
    if not is_unspecified(listening.host) or towards is None:
        return listening
    own = _own_address(towards)
    # What listens on all of IPv6's interfaces does not answer on IPv4's, and the other way round.
    ipv6 = _is_ipv6(listening.host)
    if is_loopback(own) or _is_ipv6(own) != ipv6:
        own = network_address(ipv6=ipv6) or own
    return Address(own, listening.port)


def network_address(*, ipv6: bool = False) -> str | None:
    """The address by which others find this machine, as far as it knows: that of its default route."""
    try:
        return _own_address(_SOMEWHERE_IPV6 if ipv6 else _SOMEWHERE)
    except OSError:
        return None


def advice(listening: Address) -> str:
    """What to set where others can't reach a worker at the address that it advertises."""
    return (
        f"this worker listens on {listening}: check --advertise, --host and, with a container, the published "
        "port; --no-self-test does without this test"
    )


def wan_advice(inside: Address) -> str:
    """What to set where clients outside can't reach a worker at the address that is meant for them."""
    return (
        f"until it is reached they are told {inside}, too: check --advertise-wan, the published port and the "
        "firewall; --no-self-test does without this test"
    )


def _is_ipv6(host: str) -> bool:
    return ":" in host


def _own_address(towards: Address) -> str:
    """This machine's address on the way to another. Connecting UDP sends nothing, it looks up the route."""
    family, kind, protocol, _, target = socket.getaddrinfo(
        towards.host, towards.port, type=socket.SOCK_DGRAM
    )[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.connect(target)
        return str(probe.getsockname()[0])
