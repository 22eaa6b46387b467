import pytest

from tfleet.discovery.address import Address
from tfleet.discovery.advertise import advertised, advice, wan_advice

HERE = Address("127.0.0.1", 8000)
REGISTRY = Address("127.0.0.1", 8500)


def test_what_is_chosen_wins() -> None:
    assert advertised(HERE, Address("public", 1), REGISTRY) == Address("public", 1)


def test_else_it_is_what_is_listened_on() -> None:
    assert advertised(HERE, None, REGISTRY) == HERE


@pytest.mark.parametrize("everywhere", ["0.0.0.0", "::"])
def test_every_interface_becomes_the_one_towards_the_registry(everywhere: str) -> None:
    assert advertised(Address(everywhere, 8000), None, REGISTRY) == HERE


def test_without_a_registry_nobody_has_to_be_told() -> None:
    assert advertised(Address("0.0.0.0", 8000), None, None) == Address("0.0.0.0", 8000)


def test_the_advice_names_the_options_and_where_the_worker_listens() -> None:
    for said in ("127.0.0.1:8000", "--advertise", "--host", "published port", "--no-self-test"):
        assert said in advice(HERE)


def test_the_advice_on_an_outside_address_says_what_is_told_instead() -> None:
    for said in ("127.0.0.1:8000", "--advertise-wan", "published port", "firewall", "--no-self-test"):
        assert said in wan_advice(HERE)
