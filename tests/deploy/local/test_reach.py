import socket

from tests.support.canned import nobody
from tfleet.contract.address import Address
from tfleet.deploy.local.ports import reachable


def test_an_address_is_reachable_while_listened_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert reachable(Address(*listener.getsockname()))


def test_an_address_without_listener_is_unreachable() -> None:
    assert not reachable(nobody())
    assert not reachable(Address("nowhere.invalid", 1))
