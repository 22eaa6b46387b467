from __future__ import annotations

import socket

import pytest

from tests.support.canned_server import nobody
from tests.support.ipv6 import needs_ipv6
from tfleet.contract.address import Address
from tfleet.deploy.local.ports import PortTakenError, free_ports, reachable


def test_zero_becomes_free_ports_that_differ() -> None:
    ports = free_ports({"--port": 0, "--registry-port": 0})
    assert len(set(ports.values())) == 2
    assert free_ports(ports) == ports, "they are free again, and a named one is kept"


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_taken_port_is_named_with_its_option(host: str) -> None:
    with socket.create_server((host, 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(
            PortTakenError, match=rf"^port {port} \(--port\) is taken: .* \(0 is any free one\)$"
        ):
            free_ports({"--port": port})


@needs_ipv6
def test_a_port_of_localhost_is_free_at_both_loopbacks() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        port = server.getsockname()[1]
        assert free_ports({"--port": port}) == {"--port": port}
        with pytest.raises(PortTakenError, match="is taken"):
            free_ports({"--port": port}, host="localhost")


def test_two_options_with_one_port_are_refused() -> None:
    port = free_ports({"--port": 0})["--port"]
    with pytest.raises(PortTakenError, match=rf"port {port} \(--registry-port\) is taken"):
        free_ports({"--port": port, "--registry-port": port})


def test_an_address_that_is_not_ours_is_said_to_be_unusable() -> None:
    with pytest.raises(PortTakenError, match="cannot be used: Cannot assign requested address"):
        free_ports({"--port": 0}, host="192.0.2.1")


def test_an_address_is_reachable_while_listened_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert reachable(Address(*listener.getsockname()))


def test_an_address_without_listener_is_unreachable() -> None:
    assert not reachable(nobody())
    assert not reachable(Address("nowhere.invalid", 1))
