import asyncio
import json
import uuid
from collections.abc import AsyncIterator

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from tests.support.canned_server import canned, http, nobody
from tfleet.contract.address import Address
from tfleet.discovery.consul.agent import ConsulAgent
from tfleet.discovery.consul.health import ConsulHealth, HealthResponse
from tfleet.discovery.consul.health_json import parse_service_list
from tfleet.discovery.consul.http_client import answer_timeout_s, next_index
from tfleet.discovery.errors import RegistryError, RegistryRefusedError, RegistryUnavailableError
from tfleet.discovery.instance import Instance
from tfleet.discovery.listing import ServiceList

WAIT_S = 20.0


@pytest.fixture
def service() -> str:
    return f"service-{uuid.uuid4().hex[:8]}"


@pytest.fixture
async def health(server: Address) -> AsyncIterator[ConsulHealth]:
    health = ConsulHealth(server, wait_s=WAIT_S)
    yield health
    await health.close()


def worker(name: str) -> Instance:
    return Instance(f"{name}-{uuid.uuid4().hex[:8]}", Address("127.0.0.1", 8000), "lite0", "1")


async def register(server: Address, service: str, instance: Instance) -> None:
    agent = ConsulAgent(server, service, ttl_s=60)
    await asyncio.to_thread(agent.register, instance)


async def test_an_unregistered_service_has_no_workers(health: ConsulHealth, service: str) -> None:
    answer = await health.service(service, 0, WAIT_S)
    assert answer.instances == ()
    assert answer.index >= 1


async def test_the_embedded_registry_is_told_from_consul(
    request: pytest.FixtureRequest, health: ConsulHealth, service: str
) -> None:
    answer = await health.service(service, 0, WAIT_S)
    assert answer.embedded == ("embedded" in request.node.callspec.id)


async def test_workers_come_in_order_and_only_those_that_pass(
    server: Address, health: ConsulHealth, service: str
) -> None:
    second, first, ill = worker("b"), worker("a"), worker("c")
    for instance in (second, first, ill):
        await register(server, service, instance)
    fail = f"{server.url}/v1/agent/check/fail/service:{ill.id}"
    assert (await asyncio.to_thread(requests.put, fail, timeout=10)).ok
    answer = await health.service(service, 0, WAIT_S)
    assert answer.instances == (first, second)


async def test_a_query_with_an_index_waits_for_news(
    server: Address, health: ConsulHealth, service: str
) -> None:
    instance = worker("a")
    before = await health.service(service, 0, WAIT_S)
    waiting = asyncio.ensure_future(health.service(service, before.index, WAIT_S))
    await register(server, service, instance)
    after = await waiting
    while after.instances == ():  # Consul may wake for what does not concern the service
        after = await health.service(service, after.index, WAIT_S)
    assert after.instances == (instance,)
    assert after.index > before.index


async def test_a_query_without_news_ends_with_its_wait(
    server: Address, health: ConsulHealth, service: str
) -> None:
    await register(server, service, worker("a"))
    before = await health.service(service, 0, WAIT_S)
    after = await health.service(service, before.index, 0.1)
    assert after == before


INDEX = "X-Consul-Index: 7"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (http("500 Internal Server Error", b"No cluster leader"), RegistryUnavailableError),
        (http("403 Forbidden", b"Permission denied"), RegistryRefusedError),
        (http("200 OK", b'[{"Node": {', INDEX), RegistryUnavailableError),
        (http("200 OK", b"[]"), RegistryUnavailableError),
        (http("200 OK", b"[]", "X-Consul-Index: many"), RegistryUnavailableError),
        (http("200 OK", b'{"an": "object"}', INDEX), RegistryUnavailableError),
        (http("200 OK", b"null", INDEX), RegistryUnavailableError),
        (http("200 OK", b"[" * 100_000, INDEX), RegistryUnavailableError),
        (http("200 OK", b"\xff\xfe", INDEX), RegistryUnavailableError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nX-Consul-Index: 7\r\n\r\n[", RegistryUnavailableError),
        (b"garbage", RegistryUnavailableError),
        (b"", RegistryUnavailableError),
    ],
)
async def test_an_unusable_answer_says_what_to_do(answer: bytes, error: type[RegistryError]) -> None:
    with canned(answer) as address:
        health = ConsulHealth(address, wait_s=1)
        try:
            with pytest.raises(error, match=str(address)):
                await health.service("tfleet", 0, 1)
        finally:
            await health.close()


async def test_stale_reads_are_allowed_and_a_lost_leader_reported(server: Address, service: str) -> None:
    has_leader = http("200 OK", b"[]", INDEX, "X-Consul-KnownLeader: true")
    with (
        canned(http("200 OK", b"[]", INDEX, "X-Consul-KnownLeader: false")) as alone,
        canned(has_leader) as complete,
    ):
        assert await answer_of(alone, service) == HealthResponse(7, ServiceList(()), has_leader=False)
        assert await answer_of(complete, service) == HealthResponse(7, ServiceList(()))
    assert (await answer_of(server, service)).has_leader


async def answer_of(address: Address, service: str) -> HealthResponse:
    health = ConsulHealth(address, wait_s=1)
    try:
        return await health.service(service, 0, 1)
    finally:
        await health.close()


async def test_a_refusal_says_what_to_set() -> None:
    with canned(http("403 Forbidden", b"Permission denied")) as address:
        with pytest.raises(RegistryRefusedError, match="service:read for pets and node:read"):
            await answer_of(address, "pets")


async def test_a_registry_that_is_not_there_is_unavailable() -> None:
    health = ConsulHealth(nobody(), wait_s=1)
    with pytest.raises(RegistryUnavailableError, match="does not answer"):
        await health.service("tfleet", 0, 1)
    await health.close()


def test_unroutable_entries_are_left_out() -> None:
    good = {"Service": {"ID": "w1", "Address": "h", "Port": 1}, "Checks": [{"Status": "passing"}]}
    entries = json.loads(json.dumps([None, 3, {}, {"Service": {}}, good]))
    assert [instance.id for instance in parse_service_list(entries).passing] == ["w1"]


async def test_a_list_filtered_by_acls_says_so(service: str) -> None:
    with canned(http("200 OK", b"[]", INDEX, "X-Consul-Results-Filtered-By-ACLs: true")) as address:
        assert await answer_of(address, service) == HealthResponse(7, ServiceList(), complete=False)


@pytest.mark.parametrize(
    ("asked", "answered", "then"),
    [(0, 7, 7), (7, 7, 7), (7, 9, 9), (9, 7, 0), (5, 0, 1), (0, 0, 1), (3, -1, 1)],
)
def test_the_rules_of_blocking_queries(asked: int, answered: int, then: int) -> None:
    assert next_index(asked, answered) == then


@given(asked=st.integers(0), answered=st.integers())
def test_no_answer_makes_the_index_negative_or_the_watch_spin(asked: int, answered: int) -> None:
    then = next_index(asked, answered)
    assert then >= 0
    # 0 asks without waiting: that happens at most once, because the next answer is taken as it is.
    assert then > 0 or next_index(then, answered) > 0


def test_an_answer_may_exceed_the_wait_by_consuls_jitter() -> None:
    assert answer_timeout_s(32.0) > 32.0 + 32.0 / 16
