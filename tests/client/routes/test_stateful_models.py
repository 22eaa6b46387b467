"""A model that changes with each request gets none of them twice, without the caller saying so."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from tests.proxy.forwarding.test_retries_end_to_end import hang_up_after_the_body
from tests.support.embedded_registry import embedded_registry
from tests.support.fake_worker import fake_worker, raw_server, settings
from tests.support.registered_workers import ready, register, workers
from tests.support.waiting import eventually
from tfleet.client import AsyncFleetClient, FleetUnavailableError, ModelAnswer, WorkerFailedError
from tfleet.discovery.registry import ConsulRegistry
from tfleet.proxy.server import single_process_proxy

if TYPE_CHECKING:
    from tests.client.conftest import Handler, Scripted, ScriptedFleet
    from tfleet.proxy.settings import Mode

ROW = {"x": 1}
BOTH = pytest.mark.parametrize("stateful", [True, False])


async def doubled(request: web.Request) -> web.StreamResponse:
    await request.read()
    return web.json_response({"success": True, "outputs": {"y": 2}})


def split(lookup: Handler, prediction: Handler) -> Handler:
    """One handler for lookups, another for predictions."""

    async def handler(request: web.Request) -> web.StreamResponse:
        return await (lookup if request.method == "GET" else prediction)(request)

    return handler


async def predicted(client: AsyncFleetClient) -> ModelAnswer | str:
    """The answer, or the error of a call that may have reached a worker."""
    try:
        return await client.predict(ROW)
    except WorkerFailedError as error:
        return str(error)


def refused(answers: list[ModelAnswer | str]) -> int:
    """How many were not sent again; all others were answered."""
    errors = [answer for answer in answers if isinstance(answer, str)]
    assert all("not sent again" in error for error in errors), errors
    return len(errors)


def posts(*servers: Scripted) -> int:
    return sum(seen.method == "POST" for server in servers for seen in server.seen)


def lookups(*servers: Scripted) -> int:
    return sum(seen.path.startswith("/worker") for server in servers for seen in server.seen)


@BOTH
@pytest.mark.parametrize("fault", ["reset", "cut_short"])
async def test_the_next_proxy_gets_it_only_if_no_model_keeps_state(
    fleet: ScriptedFleet, stateful: bool, fault: str
) -> None:
    lease = fleet.leases("a:1", stateful=stateful)
    bad = fleet.server(otherwise=split(lease, getattr(fleet, fault)()))
    good = fleet.server(otherwise=split(lease, doubled))
    async with AsyncFleetClient([bad.url, good.url]) as client:
        failed = refused([await predicted(client) for _ in range(4)])
    assert failed == posts(bad) * stateful
    assert posts(bad) > 0
    assert posts(good) == 4 - failed
    assert lookups(bad, good) == 1, "the answer is remembered"


@BOTH
async def test_a_stale_connection_is_no_reason_to_send_twice(fleet: ScriptedFleet, stateful: bool) -> None:
    once = iter([doubled, fleet.reset()])

    async def prediction(request: web.Request) -> web.StreamResponse:
        return await next(once, doubled)(request)

    proxy = fleet.server(otherwise=split(fleet.leases("a:1", stateful=stateful), prediction))
    async with AsyncFleetClient(proxy.url) as client:
        await client.predict(ROW)
        if stateful:
            with pytest.raises(WorkerFailedError, match="not sent again"):
                await client.predict(ROW)
        else:
            await client.predict(ROW)
    assert posts(proxy) == 3 - stateful


async def test_what_works_asks_for_nothing_more(fleet: ScriptedFleet) -> None:
    proxy = fleet.server(otherwise=doubled)
    async with AsyncFleetClient(proxy.url) as client:
        for _ in range(3):
            await client.predict(ROW)
    assert (posts(proxy), len(proxy.seen)) == (3, 3)


async def test_a_proxy_that_says_nothing_of_state_has_none(fleet: ScriptedFleet) -> None:
    silent = fleet.text(404, "an older proxy, or another server before it")
    bad = fleet.server(otherwise=split(silent, fleet.reset()))
    good = fleet.server(otherwise=split(silent, doubled))
    async with AsyncFleetClient([bad.url, good.url]) as client:
        for _ in range(3):
            assert (await client.predict(ROW)).outputs == {"y": 2}
    assert posts(bad) > 0


async def test_where_no_proxy_can_tell_nothing_is_sent_again(fleet: ScriptedFleet) -> None:
    none = fleet.problem(503, "no worker is ready", Retry_After="1")
    proxies = [fleet.server(otherwise=split(none, fleet.reset())) for _ in range(2)]
    async with AsyncFleetClient([proxy.url for proxy in proxies]) as client:
        with pytest.raises(FleetUnavailableError, match="no worker is ready"):
            await client.predict(ROW)
    assert posts(*proxies) == 1


@BOTH
async def test_images_are_no_exception(fleet: ScriptedFleet, stateful: bool) -> None:
    lease = fleet.leases("a:1", stateful=stateful)
    predictions = (fleet.reset(), fleet.predictions())
    proxies = [fleet.server(otherwise=split(lease, prediction)) for prediction in predictions]
    async with AsyncFleetClient([proxy.url for proxy in proxies]) as client:
        outcomes = [await client.outcome(b"BM") for _ in range(2)]
    assert sum(outcome.error is not None for outcome in outcomes) == stateful
    assert posts(*proxies) == 3 - stateful


@BOTH
async def test_a_lease_says_which_workers_keep_state(fleet: ScriptedFleet, stateful: bool) -> None:
    servers = [fleet.server(fleet.reset(), otherwise=doubled) for _ in range(2)]
    servers[1].script.clear()
    lease = fleet.leases(*(server.address for server in servers), stateful=stateful)
    async with AsyncFleetClient(fleet.server(otherwise=lease).url, p2p=True) as client:
        assert refused([await predicted(client) for _ in range(2)]) == stateful
    assert posts(*servers) == 3 - stateful


async def test_the_caller_may_know_better(fleet: ScriptedFleet) -> None:
    servers = [fleet.server(fleet.reset(), otherwise=doubled) for _ in range(2)]
    servers[1].script.clear()
    lease = fleet.leases(*(server.address for server in servers), stateful=True)
    async with AsyncFleetClient(fleet.server(otherwise=lease).url, p2p=True) as client:
        for _ in range(2):
            assert (await client.predict(ROW, idempotent=True)).outputs == {"y": 2}


@pytest.mark.parametrize("mode", ["forward", "p2p"])
@pytest.mark.parametrize("meta", [{"stateful": "true"}, {}])
async def test_a_real_proxy_tells_a_client_of_state(mode: Mode, meta: dict[str, str]) -> None:
    calls: list[str] = []

    async def counted(request: web.Request) -> web.StreamResponse:
        calls.append(request.path)
        return await doubled(request)

    async with AsyncExitStack() as stack:
        registry = stack.enter_context(embedded_registry())
        good = await stack.enter_async_context(fake_worker())
        good.name, good.answer = "good", counted
        bad = await stack.enter_async_context(raw_server(hang_up_after_the_body))
        made = settings(registry=ConsulRegistry(registry), mode=mode)
        proxy = await stack.enter_async_context(single_process_proxy(made))
        await register(registry, good.address, worker_id="good", **meta)
        p2p = mode == "p2p"
        if p2p:
            await register(registry, bad, worker_id="bad", **meta)
        await eventually(lambda: workers(proxy), wanted=lambda rows: ready(rows, 1 + p2p))
        # In forward mode another proxy breaks off; in p2p mode a worker does.
        where = [proxy.url] if p2p else [proxy.url, bad.url]
        client = await stack.enter_async_context(AsyncFleetClient(where, p2p=p2p))
        assert refused([await predicted(client) for _ in range(2)]) == bool(meta)
    assert calls.count("/predict") == 2 - bool(meta)
