from collections import deque
from dataclasses import replace

import pytest

from tfleet.contract.address import Address
from tfleet.discovery.instance import Instance
from tfleet.worker.address.addresses import WorkerAddresses, why_untested
from tfleet.worker.address.docker_port import NotPublishedError

HERE, THERE = Address("10.0.0.2", 8000), Address("10.0.0.3", 8000)
WAN, NEW_WAN = Address("0.0.0.0", 32768), Address("0.0.0.0", 32769)
WORKER = Instance("w1", HERE, "lite0", "1")
REGISTRY = Address("10.0.0.1", 8500)


class Script:
    """Finds what it is told, in turn, or raises it."""

    def __init__(self, *found: Address | Exception) -> None:
        self.left = deque(found)

    def __call__(self, _port: int = 0) -> Address:
        found = self.left.popleft()
        if isinstance(found, Exception):
            raise found
        return found


def test_an_instance_keeps_its_id_and_has_the_address_of_now() -> None:
    addresses = WorkerAddresses(Script(HERE, HERE, THERE), None, 8000)
    assert addresses(WORKER) == WORKER
    assert addresses(WORKER) == replace(WORKER, address=THERE)
    assert addresses.address == THERE
    assert repr(addresses) == "<WorkerAddresses 10.0.0.3:8000 wan=None>"


def test_without_a_route_the_last_address_stays() -> None:
    addresses = WorkerAddresses(Script(HERE, OSError("unreachable")), None, 8000)
    assert addresses(WORKER) == WORKER


def test_the_outside_address_follows_a_changed_inside_one() -> None:
    find_wan = Script(WAN, NEW_WAN)
    addresses = WorkerAddresses(Script(HERE, HERE, THERE), find_wan, 8000)
    assert addresses(WORKER) == replace(WORKER, wan=WAN)
    assert len(find_wan.left) == 1
    assert addresses(WORKER) == replace(WORKER, address=THERE, wan=NEW_WAN)


def test_an_outside_address_that_is_lost_is_dropped() -> None:
    addresses = WorkerAddresses(Script(HERE, THERE), Script(WAN, NotPublishedError("no")), 8000)
    assert addresses(WORKER) == replace(WORKER, address=THERE)


def test_a_missing_outside_address_is_looked_up_again() -> None:
    find_wan = Script(WAN, NotPublishedError("no"), NotPublishedError("no"), NEW_WAN)
    addresses = WorkerAddresses(Script(HERE, THERE, THERE, THERE, THERE), find_wan, 8000)
    assert [addresses(WORKER).wan for _ in range(4)] == [None, None, NEW_WAN, NEW_WAN]


def test_an_outside_address_missing_at_the_start_is_an_error() -> None:
    with pytest.raises(NotPublishedError):
        WorkerAddresses(Script(HERE), Script(NotPublishedError("no")), 8000)


def test_the_outside_address_waits_for_its_test() -> None:
    addresses = WorkerAddresses(Script(HERE, HERE, HERE), Script(WAN), 8000)
    addresses.may_register_wan = lambda: False
    assert addresses(WORKER).wan is None
    addresses.may_register_wan = lambda: True
    assert addresses(WORKER).wan == WAN


@pytest.mark.parametrize(
    ("wan", "registry", "untested"),
    [
        (WAN, REGISTRY, "all addresses of the machine"),
        (Address("127.0.0.1", 1), REGISTRY, "a loopback address"),
        (Address("127.0.0.1", 1), Address("127.0.0.1", 8500), ""),
        (Address("gpu1", 1), REGISTRY, ""),
    ],
)
def test_a_registry_only_reports_addresses_it_shares(wan: Address, registry: Address, untested: str) -> None:
    why = why_untested(wan, registry)
    assert untested in why
    assert bool(untested) is bool(why)
