import socket
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import requests

from tests.support.canned_server import canned, http, nobody
from tests.support.consul_agent import consul_agent
from tests.support.embedded_registry import embedded_registry
from tests.support.waiting import eventually_sync
from tfleet.contract.address import Address
from tfleet.discovery.consul.agent import ConsulAgent
from tfleet.discovery.consul.health_json import from_health_entry
from tfleet.discovery.errors import (
    Loss,
    RegistrationLostError,
    RegistryRefusedError,
    RegistryUnavailableError,
)
from tfleet.discovery.instance import Instance
from tfleet.discovery.listing import Listing, ListingStatus
from tfleet.discovery.registration.heartbeat import Registration

Call = Callable[[ConsulAgent, Instance], object]


@pytest.fixture
def service() -> str:
    return f"service-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def worker() -> Instance:
    return Instance(f"w-{uuid.uuid4().hex[:8]}", Address("127.0.0.1", 8000), "lite0", "1")


@pytest.fixture
def agent(server: Address, service: str) -> ConsulAgent:
    return ConsulAgent(server, service, ttl_s=60)


def health(server: Address, service: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = requests.get(
        f"{server.url}/v1/health/service/{service}?passing", timeout=10
    ).json()
    return entries


def test_a_registered_worker_is_found_passing(
    server: Address, service: str, agent: ConsulAgent, worker: Instance
) -> None:
    agent.register(worker)
    (entry,) = health(server, service)
    assert from_health_entry(entry) == worker


def test_a_registration_says_what_the_model_is(server: Address, service: str, agent: ConsulAgent) -> None:
    counter = Instance("w-1", Address("127.0.0.1", 8000), "counter", "3", kind="tensors", stateful=True)
    agent.register(counter)
    (entry,) = health(server, service)
    assert from_health_entry(entry) == counter


def test_registering_again_heals_a_critical_check(
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
    with pytest.raises(RegistrationLostError, match=worker.id) as raised:
        agent.heartbeat(worker)
    assert raised.value.loss is Loss.FORGOTTEN


def settled(agent: ConsulAgent, worker: Instance) -> None:
    """Wait until a look finds nothing wrong: a Consul agent tells the catalog a little later."""

    def whole() -> bool:
        try:
            agent.verify_listed(worker)
        except RegistrationLostError:
            return False
        return True

    eventually_sync(whole)


def catalog_deregister(server: Address, service: str, **what: str) -> None:
    node = health(server, service)[0]["Node"]["Node"]
    answer = requests.put(f"{server.url}/v1/catalog/deregister", json={"Node": node} | what, timeout=10)
    assert answer.ok, answer.text


def test_a_listed_and_passing_entry_is_fine(agent: ConsulAgent, worker: Instance) -> None:
    agent.register(worker)
    settled(agent, worker)
    agent.verify_listed(worker)


def test_a_look_before_registering_says_that_it_is_not_listed(agent: ConsulAgent, worker: Instance) -> None:
    with pytest.raises(RegistrationLostError, match="does not list it") as raised:
        agent.verify_listed(worker)
    assert raised.value.loss is Loss.UNLISTED


def test_a_wiped_catalog_is_noticed_and_healed(
    server: Address, service: str, agent: ConsulAgent, worker: Instance
) -> None:
    """A look notices it; registering again heals it."""
    agent.register(worker)
    settled(agent, worker)
    catalog_deregister(server, service, ServiceID=worker.id)
    with pytest.raises(RegistrationLostError) as raised:
        agent.verify_listed(worker)
    assert raised.value.loss is Loss.UNLISTED
    agent.register(worker)
    settled(agent, worker)
    assert len(health(server, service)) == 1


def test_a_critical_check_is_noticed_and_healed(
    server: Address, service: str, agent: ConsulAgent, worker: Instance
) -> None:
    """A look notices it; registering again heals it."""
    agent.register(worker)
    settled(agent, worker)
    requests.put(f"{server.url}/v1/agent/check/fail/service:{worker.id}", timeout=10).raise_for_status()

    def seen() -> Loss | None:
        try:
            agent.verify_listed(worker)
        except RegistrationLostError as lost:
            return lost.loss
        return None

    eventually_sync(seen, wanted=lambda loss: loss is Loss.NOT_PASSING)
    agent.register(worker)
    settled(agent, worker)


@pytest.mark.parametrize("server", ["consul"], indirect=True)
def test_a_check_critical_only_in_the_catalog_is_healed(
    server: Address, service: str, agent: ConsulAgent, worker: Instance
) -> None:
    """The agent takes heartbeats as if nothing had happened, and would tell the catalog a minute later."""
    agent.register(worker)
    settled(agent, worker)
    node = health(server, service)[0]["Node"]
    check = {
        "CheckID": f"service:{worker.id}",
        "Status": "critical",
        "ServiceID": worker.id,
        "Name": "c",
    }
    body = {"Node": node["Node"], "Address": node["Address"], "SkipNodeUpdate": True, "Check": check}
    assert requests.put(f"{server.url}/v1/catalog/register", json=body, timeout=10).ok
    agent.heartbeat(worker)
    with pytest.raises(RegistrationLostError) as raised:
        agent.verify_listed(worker)
    assert raised.value.loss is Loss.NOT_PASSING
    agent.register(worker)
    settled(agent, worker)


@pytest.mark.parametrize("server", ["consul"], indirect=True)
def test_a_node_that_was_wiped_from_the_catalog_is_mended_too(
    server: Address, service: str, agent: ConsulAgent, worker: Instance
) -> None:
    agent.register(worker)
    settled(agent, worker)
    # Now and then Consul compares all with its catalog by itself, and puts everything back.
    assert any(_is_missed_once_wiped(server, service, agent, worker) for _ in range(5))
    agent.register(worker)
    settled(agent, worker)


def _is_missed_once_wiped(server: Address, service: str, agent: ConsulAgent, worker: Instance) -> bool:
    catalog_deregister(server, service)
    agent.heartbeat(worker)
    try:
        agent.verify_listed(worker)
    except RegistrationLostError:
        return True
    return False


def test_a_registry_back_as_another_node_is_looked_up_there(service: str, worker: Instance) -> None:
    with embedded_registry() as address:
        agent = ConsulAgent(address, service, ttl_s=60)
        agent.register(worker)
        agent.verify_listed(worker)
    with consul_agent(http_port=address.port):
        agent.register(worker)
        settled(agent, worker)


def test_entries_are_listed_all_or_by_address(server: Address, agent: ConsulAgent, worker: Instance) -> None:
    other = Instance(f"{worker.id}-2", Address("127.0.0.1", 8001))
    stranger = Instance(f"{worker.id}-3", Address("127.0.0.2", 8000))
    for instance in (worker, other, stranger):
        agent.register(instance)
        settled(agent, instance)
    fail = f"{server.url}/v1/agent/check/fail/service:{other.id}"
    assert requests.put(fail, timeout=10).ok
    found = eventually_sync(agent.listed, wanted=lambda all_: all_[1].status is ListingStatus.CRITICAL)
    assert [listing.instance for listing in found] == [worker, other, stranger]
    assert agent.listed_at(worker.address) == (Listing(worker, found[0].node, ListingStatus.PASSING),)
    assert agent.listed_at(Address("127.0.0.1", 9)) == ()


def test_a_removed_entry_is_gone(server: Address, service: str, agent: ConsulAgent, worker: Instance) -> None:
    agent.register(worker)
    (listing,) = eventually_sync(agent.listed)
    agent.remove_entry(listing)
    assert health(server, service) == []
    with pytest.raises(RegistrationLostError):
        agent.heartbeat(worker)


@pytest.mark.parametrize("server", ["consul"], indirect=True)
def test_an_entry_of_another_node_can_be_removed(
    server: Address, service: str, agent: ConsulAgent, worker: Instance
) -> None:
    entry = {"ID": worker.id, "Service": service, "Address": "127.0.0.1", "Port": 8000}
    body = {"Node": "dead-node", "Address": "127.0.0.3", "Service": entry}
    assert requests.put(f"{server.url}/v1/catalog/register", json=body, timeout=10).ok
    (listing,) = agent.listed()
    assert listing.node == "dead-node"
    agent.remove_entry(listing)
    assert agent.listed() == ()


def test_http_proxy_variables_are_ignored(
    agent: ConsulAgent, worker: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", nobody().url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    agent.register(worker)


def test_deregistering_is_idempotent(
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
@pytest.mark.parametrize(
    "call",
    [
        ConsulAgent.register,
        ConsulAgent.heartbeat,
        ConsulAgent.verify_listed,
        ConsulAgent.deregister,
        lambda agent, _: agent.listed(),
    ],
)
def test_each_failure_says_what_to_do(
    worker: Instance, call: Call, answer: bytes, error: type[Exception], said: str
) -> None:
    with canned(answer) as address:
        agent = ConsulAgent(address, "tfleet", ttl_s=10)
        with pytest.raises(error, match=said) as raised:
            call(agent, worker)
        assert str(address) in str(raised.value)


def test_newer_consuls_say_404_for_an_unknown_heartbeat(worker: Instance) -> None:
    with canned(http("404 Not Found", b"Unknown check ID")) as address:
        with pytest.raises(RegistrationLostError):
            ConsulAgent(address, "tfleet", ttl_s=10).heartbeat(worker)


@pytest.mark.parametrize("body", [b"{}", b'[{"Node": {', b"7", b"\xff", b'"x"'])
@pytest.mark.parametrize("call", [ConsulAgent.verify_listed, lambda agent, _: agent.listed()])
def test_an_answer_that_is_not_consuls_is_an_error(worker: Instance, call: Call, body: bytes) -> None:
    with canned(http("200 OK", body, "X-Consul-Index: 7")) as address:
        with pytest.raises(RegistryUnavailableError, match=str(address)):
            call(ConsulAgent(address, "tfleet", ttl_s=10), worker)


def test_a_missing_registry_is_unavailable_with_a_reason(worker: Instance) -> None:
    with pytest.raises(RegistryUnavailableError, match=r"does not answer: .*Connection refused"):
        ConsulAgent(nobody(), "tfleet", ttl_s=10).register(worker)


def test_a_registry_that_hangs_is_given_up_in_time(worker: Instance) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        agent = ConsulAgent(Address(*silent.getsockname()), "tfleet", ttl_s=10, timeout_s=0.1)
        with pytest.raises(RegistryUnavailableError, match="timed out"):
            agent.heartbeat(worker)


def test_both_addresses_are_found_until_one_is_lost(
    server: Address, service: str, agent: ConsulAgent, worker: Instance
) -> None:
    for wan in (Address("gpu1.example.com", 32768), Address("0.0.0.0", 32769), None):
        agent.register(now := replace(worker, wan=wan))
        (entry,) = health(server, service)
        assert from_health_entry(entry) == now


def maintain(server: Address, worker: Instance, enable: str) -> None:
    url = f"{server.url}/v1/agent/service/maintenance/{worker.id}?enable={enable}"
    requests.put(url, timeout=10).raise_for_status()


def test_an_entry_in_maintenance_is_not_repaired(
    server: Address, service: str, agent: ConsulAgent, worker: Instance
) -> None:
    agent.register(worker)
    settled(agent, worker)
    maintain(server, worker, "true")
    eventually_sync(lambda: health(server, service), wanted=lambda found: found == [])
    requests.put(f"{server.url}/v1/agent/check/fail/service:{worker.id}", timeout=10).raise_for_status()
    eventually_sync(lambda: agent.listed()[0].status, wanted=lambda status: status is ListingStatus.CRITICAL)
    agent.verify_listed(worker)
    maintain(server, worker, "false")

    def lost() -> bool:
        try:
            agent.verify_listed(worker)
        except RegistrationLostError as error:
            return error.loss is Loss.NOT_PASSING
        return False

    eventually_sync(lost)


def test_a_worker_in_maintenance_does_not_register_again(
    server: Address, agent: ConsulAgent, worker: Instance
) -> None:
    registration = Registration(agent, worker)
    for _ in range(2):
        registration.step()
    settled(agent, worker)
    maintain(server, worker, "true")
    eventually_sync(
        lambda: requests.get(f"{server.url}/v1/agent/checks", timeout=10).json(),
        wanted=lambda found: f"_service_maintenance:{worker.id}" in found,
    )
    for _ in range(5):
        registration.step()
    assert registration.losses == {}
