from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from tests.support.canned_server import nobody as nobody_there
from tests.support.embedded_registry import embedded_registry
from tests.support.waiting import eventually
from tfleet.client import AsyncFleetClient, FleetClient, FleetUnavailableError
from tfleet.client.http.transport import Transport
from tfleet.client.proxies.addresses import ProxiesInRegistry
from tfleet.client.proxies.consul_resolver import ConsulResolver
from tfleet.contract.address import Address
from tfleet.discovery.consul.access import Access
from tfleet.discovery.consul.agent import ConsulAgent
from tfleet.discovery.consul.error_messages import explain_denied
from tfleet.discovery.instance import Instance
from tfleet.discovery.registry import ConsulRegistry

if TYPE_CHECKING:
    from tests.client.conftest import Scripted, ScriptedFleet

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Registry:
    """The embedded registry; it says nothing but 500 while it is `away`, and counts who asks for proxies."""

    address: Address
    away: bool = False
    asked: int = 0

    @property
    def proxies(self) -> str:
        return f"consul://{self.address}"

    def list(self, *proxies: Scripted) -> None:
        for proxy in proxies:
            self._agent.register(Instance(proxy.address, Address.parse(proxy.address)))

    def drop(self, *proxies: Scripted) -> None:
        for proxy in proxies:
            self._agent.deregister(Instance(proxy.address, Address.parse(proxy.address)))

    @property
    def _agent(self) -> ConsulAgent:
        return ConsulAgent(self.address, "tfleet-proxy", ttl_s=60.0)


@asynccontextmanager
async def finder_of(
    registry: Registry, on_found: Callable[[tuple[str, ...]], None], access: Access | None = None
) -> AsyncIterator[ConsulResolver]:
    wire = Transport(connect_timeout_s=5, max_connections=4)
    finder = ConsulResolver(
        wire,
        ProxiesInRegistry(ConsulRegistry(registry.address, access or Access()), "tfleet-proxy"),
        on_found,
    )
    yield finder
    await finder.close()
    await wire.close()


@pytest.fixture
def registry() -> Iterator[Registry]:
    found = Registry(nobody_there())

    @web.middleware
    async def watched(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path == "/v1/health/service/tfleet-proxy":
            found.asked += 1
            if found.away:
                return web.Response(status=500, text="no leader")
        return await handler(request)

    with embedded_registry(watched) as found.address:
        yield found


def test_proxies_are_found_in_the_registry(fleet: ScriptedFleet, registry: Registry) -> None:
    one, two = fleet.server(), fleet.server()
    registry.list(one, two)
    with FleetClient(registry.proxies) as client:
        for _ in range(20):
            client.classify(b"BM")
    assert (len(one.seen), len(two.seen)) == (10, 10)
    assert registry.asked == 1, "one look serves many images"


async def test_two_that_are_registered_at_one_address_are_one(registry: Registry) -> None:
    found: list[tuple[str, ...]] = []
    address = nobody_there()
    agent = ConsulAgent(registry.address, "tfleet-proxy", ttl_s=60.0)
    for name in ("stale", "heir"):
        await asyncio.to_thread(agent.register, Instance(name, address))
    async with finder_of(registry, found.append) as finder:
        await finder.look()
    assert found == [(address.url,)]


async def test_concurrent_calls_share_the_first_lookup(fleet: ScriptedFleet, registry: Registry) -> None:
    await asyncio.to_thread(registry.list, fleet.server())
    async with AsyncFleetClient(registry.proxies) as client:
        await asyncio.gather(*(client.classify(b"BM") for _ in range(20)))
    assert registry.asked == 1


async def test_a_failed_proxy_triggers_a_lookup(fleet: ScriptedFleet, registry: Registry) -> None:
    bad, good, newcomer = fleet.server(otherwise=fleet.reset()), fleet.server(), fleet.server()
    await asyncio.to_thread(registry.list, bad, good)
    async with AsyncFleetClient(registry.proxies) as client:
        for _ in range(2):
            await client.classify(b"BM")
        await asyncio.to_thread(registry.list, newcomer)

        async def newcomers() -> int:
            await client.classify(b"BM")
            return len(newcomer.seen)

        await eventually(newcomers, timeout_s=4)
    assert registry.asked == 2


async def test_with_all_proxies_gone_a_call_waits_for_a_lookup(
    fleet: ScriptedFleet, registry: Registry
) -> None:
    old, new = fleet.server(fleet.predictions("old"), otherwise=fleet.reset()), fleet.server()
    await asyncio.to_thread(registry.list, old)
    async with AsyncFleetClient(registry.proxies) as client:
        assert (await client.classify(b"BM")).predictions[0].label == "old"
        await asyncio.to_thread(registry.drop, old)
        await asyncio.to_thread(registry.list, new)
        assert (await client.classify(b"BM")).predictions[0].label == "tabby"
    assert registry.asked == 2


@pytest.mark.parametrize("trouble", ["away", "empty"])
async def test_an_absent_or_empty_registry_changes_nothing(
    fleet: ScriptedFleet, registry: Registry, trouble: str
) -> None:
    one, two = fleet.server(), fleet.server(fleet.predictions(), fleet.reset(), fleet.reset())
    await asyncio.to_thread(registry.list, one, two)
    async with AsyncFleetClient(registry.proxies) as client:
        for _ in range(2):
            await client.classify(b"BM")
        if trouble == "empty":
            await asyncio.to_thread(registry.drop, one, two)
        registry.away = trouble == "away"

        async def looks() -> int:
            await client.classify(b"BM")
            return registry.asked

        await eventually(looks, wanted=lambda asked: asked > 1, timeout_s=4)
        before = len(one.seen), len(two.seen)
        await eventually(looks, wanted=lambda _: len(one.seen) > before[0] and len(two.seen) > before[1] + 1)


async def test_an_empty_registry_is_reported_and_asked_again(
    fleet: ScriptedFleet, registry: Registry
) -> None:
    async with AsyncFleetClient(registry.proxies) as client:
        said = f"^no proxy is registered as tfleet-proxy in {registry.proxies}$"  # no advice on Consul's ACLs
        with pytest.raises(FleetUnavailableError, match=said):
            await client.classify(b"BM")
        await asyncio.to_thread(registry.list, fleet.server())
        await client.classify(b"BM")


async def test_an_unanswering_registry_is_reported() -> None:
    address = nobody_there()
    async with AsyncFleetClient(f"consul://{address}") as client:
        with pytest.raises(FleetUnavailableError, match=f"the registry at {address} does not answer"):
            await client.classify(b"BM")


async def test_an_idle_client_makes_no_lookups(fleet: ScriptedFleet, registry: Registry) -> None:
    await asyncio.to_thread(registry.list, fleet.server())
    async with AsyncFleetClient(registry.proxies) as client:
        await client.classify(b"BM")
        assert asyncio.all_tasks() == {asyncio.current_task()}, "nobody is there who could ask"


async def test_after_a_lookup_none_is_due(registry: Registry) -> None:
    found: list[tuple[str, ...]] = []
    async with finder_of(registry, found.append) as finder:
        await finder.look()
        finder.look_if_due()
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert repr(finder) == f"<ConsulResolver of tfleet-proxy in {registry.proxies}>"
    assert found == [()]
    assert registry.asked == 1


async def test_the_token_is_sent_and_stale_answers_are_allowed(fleet: ScriptedFleet) -> None:
    consul = fleet.server(otherwise=fleet.text(200, "[]", "application/json"))
    access = Access("secret")
    async with finder_of(Registry(Address.parse(consul.address)), lambda _: None, access) as finder:
        error = await finder.look()
    assert consul.seen[0].path == "/v1/health/service/tfleet-proxy?passing=1&stale"
    assert consul.seen[0].headers["X-Consul-Token"] == "secret"
    assert str(error).endswith(access.acl_hint("tfleet-proxy"))


async def test_a_refusal_says_what_to_set(fleet: ScriptedFleet) -> None:
    consul = fleet.server(
        fleet.text(403, "Permission denied"),
        otherwise=fleet.text(400, "Client sent an HTTP request to an HTTPS server."),
    )
    async with finder_of(Registry(Address.parse(consul.address)), lambda _: None) as finder:
        where = f"cannot find a proxy: the registry at {consul.address} refuses:"
        needed = "service:read for tfleet-proxy and node:read"
        assert str(await finder.look()) == f"{where} {explain_denied('Permission denied', needed)}"
        assert "consul+https://" in str(await finder.look())


async def test_a_missing_file_is_reported(fleet: ScriptedFleet, tmp_path: Path) -> None:
    access = Access(token_file=tmp_path / "token")
    async with finder_of(Registry(nobody_there()), lambda _: None, access) as finder:
        error = await finder.look()
    said = f"CONSUL_HTTP_TOKEN_FILE={tmp_path}/token: no such file or directory"
    assert str(error) == f"cannot find a proxy: {said}"


@pytest.mark.parametrize("body", ["{}", "Permission denied", "[" * 100_000])
async def test_a_server_that_is_no_consul_is_reported(fleet: ScriptedFleet, body: str) -> None:
    stranger = fleet.server(otherwise=fleet.text(200, body))
    found: list[tuple[str, ...]] = []
    async with finder_of(Registry(Address.parse(stranger.address)), found.append) as finder:
        assert f"cannot find a proxy: {stranger.url}/v1" in str(await finder.look())
    assert not found
