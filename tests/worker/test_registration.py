import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from tests.support.canned_server import canned, http, nobody
from tests.support.embedded_registry import embedded_registry
from tests.support.waiting import eventually_sync
from tfleet.contract.address import Address
from tfleet.discovery.consul.agent import ConsulAgent
from tfleet.discovery.consul.reachability_check import ConsulAddressCheck
from tfleet.discovery.instance import Instance
from tfleet.discovery.registration.heartbeat import Registration
from tfleet.discovery.registration.self_test import SelfTest, SelfTestTarget
from tfleet.worker.registration import WorkerRegistration

ANSWER = http("200 OK", b"w1\n")
Begin = Callable[..., WorkerRegistration]


@pytest.fixture
def registry() -> Iterator[Address]:
    with embedded_registry() as address:
        yield address


def registration(registry: Address, address: Address) -> Registration:
    return Registration(ConsulAgent(registry, "tfleet", ttl_s=60), Instance("w1", address))


def self_test(registry: Address, address: Address, told: list[str]) -> SelfTest:
    check = ConsulAddressCheck(registry, "tfleet")
    return SelfTest(check, Instance("w1", address), SelfTestTarget(""), on_problem=told.append)


def services(registry: Address) -> list[str]:
    document: dict[str, dict[str, str]] = requests.get(f"{registry.url}/v1/agent/services", timeout=10).json()
    return [service["Service"] for service in document.values()]


@pytest.fixture
def begun() -> Iterator[Begin]:
    """Begins a registration; every one is left at the end of its test."""
    all_begun: list[WorkerRegistration] = []

    def begin(*parts: Any) -> WorkerRegistration:
        all_begun.append(registered := WorkerRegistration(*parts))
        registered.begin()
        return registered

    yield begin
    for registered in all_begun:
        registered.leave()


def test_a_reached_worker_registers_and_leaves_cleanly(registry: Address, begun: Begin) -> None:
    with canned(ANSWER) as address:
        registered = begun(registration(registry, address), self_test(registry, address, []))
        registered.wait_admitted()
        eventually_sync(lambda: services(registry), wanted=lambda found: found == [])
        registered.join()
        eventually_sync(lambda: services(registry), wanted=lambda found: found == ["tfleet"])
        assert repr(registered).startswith("<WorkerRegistration registered=True <SelfTest of ")
        registered.leave()
        registered.leave()
    assert services(registry) == []


def test_an_unreached_worker_is_never_registered(registry: Address, begun: Begin) -> None:
    address, told = nobody(), list[str]()
    registered = begun(registration(registry, address), self_test(registry, address, told))
    registered.join()
    eventually_sync(lambda: told)
    assert "tfleet" not in services(registry)
    registered.leave()
    assert services(registry) == []


def test_a_worker_is_not_admitted_before_it_was_reached(registry: Address, begun: Begin) -> None:
    address, told = nobody(), list[str]()
    registered = begun(registration(registry, address), self_test(registry, address, told))
    waiting = threading.Thread(target=registered.wait_admitted, name="waiting")
    waiting.start()
    eventually_sync(lambda: told)
    assert waiting.is_alive()
    with canned(ANSWER, port=address.port):
        waiting.join(20)
        assert not waiting.is_alive()


def test_a_worker_leaving_before_loading_never_registers(registry: Address, begun: Begin) -> None:
    with canned(ANSWER) as address:
        registered = begun(registration(registry, address), self_test(registry, address, []))
        registered.wait_admitted()
        registered.leave()
    assert services(registry) == []
    assert repr(registered).startswith("<WorkerRegistration registered=False ")


def test_without_a_self_test_the_address_is_trusted(registry: Address, begun: Begin) -> None:
    registered = begun(registration(registry, nobody()))
    registered.wait_admitted()
    registered.join()
    eventually_sync(lambda: services(registry), wanted=lambda found: found == ["tfleet"])
    registered.leave()
    assert services(registry) == []


def test_without_a_registry_there_is_nothing_to_do(begun: Begin) -> None:
    registered = begun()
    registered.wait_admitted()
    registered.join()
    registered.leave()


def wan_test(registry: Address, address: Address) -> SelfTest:
    check = ConsulAddressCheck(registry, "tfleet")
    return SelfTest(check, Instance("w1", address), SelfTestTarget("", "wan", required=False))


def test_registration_waits_for_the_outside_address_test(registry: Address, begun: Begin) -> None:
    """However that test ends."""
    with canned(ANSWER) as address:
        outside = wan_test(registry, nobody())
        registered = begun(registration(registry, address), self_test(registry, address, []), outside)
        registered.join()
        eventually_sync(lambda: services(registry), wanted=lambda found: "tfleet" in found)
        assert outside.wait_settled(0)
        assert not outside.passed
        registered.leave()
    assert services(registry) == [], "and neither test leaves anything behind"
