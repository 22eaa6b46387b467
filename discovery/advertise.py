"""The address that a worker or a proxy gives to the fleet."""

from __future__ import annotations

import socket

from tfleet.discovery.address import Address, is_everywhere


def advertised(listening: Address, chosen: Address | None, towards: Address | None) -> Address:
    """The address chosen with `--advertise`, else the one listened on.

    Where that is every interface, it is the one that this machine uses towards the registry (`towards`).
    Raises OSError where there is no way to it, or its name is not known.
    """
    if chosen is not None:
        return chosen
    if not is_everywhere(listening.host) or towards is None:
        return listening
    return Address(_own_address(towards), listening.port)


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


def _own_address(towards: Address) -> str:
    """This machine's address on the way to another. Connecting UDP sends nothing, it looks up the route."""
    family, kind, protocol, _, target = socket.getaddrinfo(
        towards.host, towards.port, type=socket.SOCK_DGRAM
    )[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.connect(target)
        return str(probe.getsockname()[0])
