import socket
import uuid
from collections.abc import Callable

import pytest
import requests

from tests.canned import canned, http, nobody
from tfleet.discovery.address import Address
from tfleet.discovery.agent import ConsulAgent
from tfleet.discovery.errors import RegistryRefusedError, RegistryUnavailableError, UnknownServiceError
from tfleet.discovery.instance import Instance, from_health_entry

Call = Callable[[ConsulAgent, Instance], None]


@pytest.fixture
def service() -> str:
    return f"service-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def worker() -> Instance:
    return Instance(f"w-{uuid.uuid4().hex[:8]}", Address("127.0.0.1", 8000), "lite0", "1")


@pytest.fixture
def agent(server: Address, service: str) -> ConsulAgent:
    return ConsulAgent(server, service, ttl_s=60)


def health(server: Address, service: str) -> list[dict[str, object]]:
    entries: list[dict[str, object]] = requests.get(
        f"{server.url}/v1/health/service/{service}?passing", timeout=10
    ).json()
    return entries


def test_what_registers_is_found_as_it_is_and_passing(
    server: Address, service: str, agent: ConsulAgent, worker: Instance
) -> None:
    agent.register(worker)
    (entry,) = health(server, service)
    assert from_health_entry(entry) == worker


def test_registering_again_brings_back_one_whose_check_had_become_critical(
    server: Address, service: str, agent: ConsulAgent, worker: Instance
) -> None:
    agent.register(worker)
    requests.put(f"{server.url}/v1/agent/check/fail/service:{worker.id}", timeout=10).raise_for_status()
    assert health(server, service) == []
    agent.register(worker)
    assert len(health(server, service)) == 1


def test_a_heartbeat_of_a_known_worker_is_taken(agent: ConsulAgent, worker: Instance) -> None:
    agent.register(worker)
    agent.heartbeat(worker)


def test_a_heartbeat_of_an_unknown_worker_says_so(agent: ConsulAgent, worker: Instance) -> None:
    with pytest.raises(UnknownServiceError, match=worker.id):
        agent.heartbeat(worker)


def test_who_deregisters_is_gone_and_may_do_it_twice(
    server: Address, service: str, agent: ConsulAgent, worker: Instance
) -> None:
    agent.register(worker)
    agent.deregister(worker)
    agent.deregister(worker)
    assert health(server, service) == []


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (http("403 Forbidden", b"Permission denied"), RegistryRefusedError, "Permission denied"),
        (http("400 Bad Request", b"Bad name"), RegistryRefusedError, "Bad name"),
        (http("429 Too Many Requests", b"slow down"), RegistryRefusedError, "slow down"),
        (
            http("500 Internal Server Error", b"No cluster leader"),
            RegistryUnavailableError,
            "No cluster leader",
        ),
        (b"garbage", RegistryUnavailableError, "does not answer"),
        (b"", RegistryUnavailableError, "does not answer"),
    ],
)
@pytest.mark.parametrize("call", [ConsulAgent.register, ConsulAgent.heartbeat, ConsulAgent.deregister])
def test_each_failure_is_told_as_what_can_be_done_about_it(
    worker: Instance, call: Call, answer: bytes, error: type[Exception], said: str
) -> None:
    with canned(answer) as address:
        agent = ConsulAgent(address, "tfleet", ttl_s=10)
        with pytest.raises(error, match=said) as raised:
            call(agent, worker)
        assert str(address) in str(raised.value)


def test_newer_consuls_say_404_for_an_unknown_heartbeat(worker: Instance) -> None:
    with canned(http("404 Not Found", b"Unknown check ID")) as address:
        with pytest.raises(UnknownServiceError):
            ConsulAgent(address, "tfleet", ttl_s=10).heartbeat(worker)


def test_a_registry_that_is_not_there_is_unavailable_and_the_reason_is_readable(worker: Instance) -> None:
    with pytest.raises(RegistryUnavailableError, match=r"does not answer: .*Connection refused"):
        ConsulAgent(nobody(), "tfleet", ttl_s=10).register(worker)


def test_a_registry_that_hangs_is_given_up_in_time(worker: Instance) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        agent = ConsulAgent(Address(*silent.getsockname()), "tfleet", ttl_s=10, timeout_s=0.1)
        with pytest.raises(RegistryUnavailableError, match="timed out"):
            agent.heartbeat(worker)
