import socket

import pytest

from tfleet.contract.address import Address, is_loopback
from tfleet.discovery.registration.advertise import advertised, advice, network_address, wan_advice

HERE = Address("127.0.0.1", 8000)
REGISTRY = Address("127.0.0.1", 8500)
OWN = network_address()


def test_a_chosen_address_wins() -> None:
    assert advertised(HERE, Address("public", 1), REGISTRY) == Address("public", 1)


def test_by_default_the_listening_address_is_advertised() -> None:
    assert advertised(HERE, None, REGISTRY) == HERE


@pytest.mark.parametrize("everywhere", ["0.0.0.0", "::"])
def test_a_wildcard_becomes_the_address_towards_the_registry(everywhere: str) -> None:
    registry = Address(OWN or "127.0.0.1", 8500)
    own = network_address(ipv6=True) if everywhere == "::" else None
    assert advertised(Address(everywhere, 8000), None, registry) == Address(own or registry.host, 8000)


def test_the_ipv6_wildcard_never_becomes_an_ipv4_address() -> None:
    found = advertised(Address("::", 8000), None, Address("::1", 8500))
    assert found == Address(network_address(ipv6=True) or "::1", 8000)


@pytest.mark.skipif(OWN is None, reason="this machine has no network")
def test_with_a_local_agent_the_outward_address_is_advertised() -> None:
    found = advertised(Address("0.0.0.0", 8000), None, REGISTRY)
    assert found == Address(str(OWN), 8000)
    assert not is_loopback(found.host)
    socket.create_server((found.host, 0)).close()


def test_without_a_registry_any_address_is_accepted() -> None:
    assert advertised(Address("0.0.0.0", 8000), None, None) == Address("0.0.0.0", 8000)


def test_the_advice_names_options_and_listening_address() -> None:
    for said in ("127.0.0.1:8000", "--advertise", "--host", "published port", "--no-self-test"):
        assert said in advice(HERE)


def test_the_advice_names_the_address_used_instead() -> None:
    for said in ("127.0.0.1:8000", "--advertise-wan", "published port", "firewall", "--no-self-test"):
        assert said in wan_advice(HERE)
