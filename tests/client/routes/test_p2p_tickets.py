"""Workers that ask for tickets: whoever uses the client does not notice."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from tfleet.client import AsyncFleetClient, FleetUnavailableError

if TYPE_CHECKING:
    from tests.client.conftest import Command, Handler, Scripted, ScriptedFleet

EXPIRED = "the ticket has expired: ask the proxy for another one"


def with_tickets(fleet: ScriptedFleet, *tickets: str, workers: tuple[Scripted, ...]) -> Scripted:
    """A proxy that gives these tickets, one with each lease, and the last one for ever."""
    left = list(tickets)
    plain = fleet.leases(*(worker.address for worker in workers))

    async def handler(request: web.Request) -> web.StreamResponse:
        answer = await plain(request)
        assert isinstance(answer, web.Response)
        assert isinstance(answer.body, bytes)
        if answer.status != 200:
            return answer
        ticket = left.pop(0) if len(left) > 1 else left[0]
        return web.json_response({**json.loads(answer.body), "ticket": ticket})

    return fleet.server(otherwise=handler)


def takes(fleet: ScriptedFleet, *tickets: str) -> Handler:
    served, refused = fleet.predictions(), fleet.problem(401, EXPIRED, WWW_Authenticate="Tfleet-Ticket")

    async def handler(request: web.Request) -> web.StreamResponse:
        return await (served if request.headers.get("X-Ticket") in tickets else refused)(request)

    return handler


def shown(worker: Scripted) -> list[str | None]:
    return [seen.headers.get("X-Ticket") for seen in worker.seen if seen.method == "POST"]


async def test_each_image_goes_with_the_ticket_of_the_lease(fleet: ScriptedFleet) -> None:
    worker = fleet.server(otherwise=takes(fleet, "1.a"))
    proxy = with_tickets(fleet, "1.a", workers=(worker,))
    async with AsyncFleetClient(proxy.url, p2p=True) as client:
        for _ in range(3):
            await client.classify(b"BM")
    assert shown(worker) == ["1.a"] * 3
    assert len(proxy.seen) == 1


@pytest.mark.parametrize("ticket", ["", None, 7, "a\r\nX-Evil: b", "é"])
async def test_an_invalid_ticket_is_not_sent(fleet: ScriptedFleet, ticket: object) -> None:
    worker = fleet.server()
    row = {"id": "w", "address": worker.address}
    document = json.dumps({"workers": [row], "expires_in_s": 10, "ticket": ticket})
    proxy = fleet.server(otherwise=fleet.text(200, document, "application/json"))
    async with AsyncFleetClient(proxy.url, p2p=True) as client:
        await client.classify(b"BM")
    assert shown(worker) == [None]


async def test_an_expired_ticket_is_replaced_unseen_by_the_caller(fleet: ScriptedFleet) -> None:
    worker = fleet.server(otherwise=takes(fleet, "2.b"))
    proxy = with_tickets(fleet, "1.a", "2.b", workers=(worker,))
    async with AsyncFleetClient(proxy.url, p2p=True) as client:
        found = await client.classify(b"BM")
        assert (found.predictions[0].label, found.retries) == ("tabby", 0)
        assert shown(worker) == ["1.a", "2.b"]
        assert [seen.path for seen in proxy.seen] == ["/worker?n=64"] * 2, "and the worker did not fail"
        assert {seen.method for seen in worker.seen} == {"POST"}, "nor need it be looked whether it is there"


async def test_many_calls_that_find_it_expired_ask_for_one_other(fleet: ScriptedFleet) -> None:
    worker = fleet.server(otherwise=takes(fleet, "2.b"))
    proxy = with_tickets(fleet, "1.a", "2.b", workers=(worker,))
    async with AsyncFleetClient(proxy.url, p2p=True) as client:
        await asyncio.gather(*(client.classify(b"BM") for _ in range(20)))
    assert len(proxy.seen) == 2


async def test_a_worker_refusing_a_new_ticket_is_replaced(fleet: ScriptedFleet) -> None:
    odd, well = fleet.server(otherwise=takes(fleet)), fleet.server(otherwise=takes(fleet, "1.a", "2.b"))
    proxy = with_tickets(fleet, "1.a", "2.b", workers=(odd, well))
    async with AsyncFleetClient(proxy.url, p2p=True, balance="round-robin") as client:
        outcomes = [await client.classify(b"BM") for _ in range(4)]
    assert len(outcomes) == 4
    assert len(shown(odd)) <= 2, "it is out of the lease"


@pytest.mark.parametrize("tickets", [("1.a",), ("1.a", "2.b"), ("1.a", "2.b", "3.c")])
async def test_when_all_refuse_their_reason_is_the_error(
    fleet: ScriptedFleet, tickets: tuple[str, ...]
) -> None:
    worker = fleet.server(otherwise=takes(fleet))
    proxy = with_tickets(fleet, *tickets, workers=(worker,))
    async with AsyncFleetClient(proxy.url, p2p=True) as client:
        with pytest.raises(FleetUnavailableError) as raised:
            await client.classify(b"BM")
    assert f"({worker.address}: {EXPIRED})" in str(raised.value)
    assert raised.value.status == 401
    assert shown(worker) == list(tickets[:2]), "a new one is tried once"


async def test_without_a_proxy_for_a_new_ticket_a_call_fails(
    fleet: ScriptedFleet,
) -> None:
    worker = fleet.server(otherwise=takes(fleet))
    proxy = with_tickets(fleet, "1.a", workers=(worker,))
    lease = proxy.otherwise

    async def once(request: web.Request) -> web.StreamResponse:
        return await (lease if len(proxy.seen) == 1 else fleet.reset())(request)

    proxy.otherwise = once
    async with AsyncFleetClient(proxy.url, p2p=True) as client:
        with pytest.raises(FleetUnavailableError, match=f"cannot reach {proxy.url}"):
            await client.classify(b"BM")


def test_tfleet_classify_does_the_same(fleet: ScriptedFleet, classify: Command, photo: Path) -> None:
    worker = fleet.server(otherwise=takes(fleet, "2.b"))
    proxy = with_tickets(fleet, "1.a", "2.b", workers=(worker,))
    done = classify("--p2p", "--json", "--proxy", proxy.url, photo)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["predictions"][0]["label"] == "tabby"
