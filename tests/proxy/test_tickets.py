"""A proxy whose workers ask for tickets: each address comes with one; what is forwarded has its own."""

import json
import os
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.support.fake_worker import fake_worker, settings
from tests.support.planned_fleet import fleet_of
from tests.support.waiting import eventually
from tfleet.contract.address import Address
from tfleet.contract.ticket import LIFETIME_S, TicketKeys, check
from tfleet.contract.ticket_keys import KeyFile
from tfleet.proxy.p2p.lookup import EXPIRES_IN_S, LEASE_S
from tfleet.proxy.server import single_process_proxy
from tfleet.proxy.settings import Mode

KEYS = TicketKeys((b"k" * 64,))


@pytest.fixture
def key_file(tmp_path: Path) -> KeyFile:
    path = tmp_path / "tickets.key"
    path.touch(mode=0o600)
    path.write_text("k" * 64)
    return KeyFile(path)


def good(ticket: str | None) -> bool:
    return check(KEYS, "tfleet", ticket, time.time()) is None


async def asked(
    proxy: Address, path: str, *, accept: str = "*/*", method: str = "GET", **options: Any
) -> tuple[aiohttp.ClientResponse, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.request(
            method, proxy.url + path, headers={"Accept": accept}, allow_redirects=False, **options
        ) as answer,
    ):
        return answer, await answer.text()


def test_a_ticket_outlives_its_lease_by_half_a_minute() -> None:
    assert max(EXPIRES_IN_S, LEASE_S) + 30 <= LIFETIME_S


@pytest.mark.parametrize(("mode", "path"), [("forward", "/worker"), ("p2p", "/worker"), ("p2p", "/")])
async def test_a_text_lookup_has_the_ticket_in_the_url(key_file: KeyFile, mode: Mode, path: str) -> None:
    """So that curl can use it."""
    async with (
        fake_worker() as worker,
        single_process_proxy(settings(worker, mode=mode, ticket_keys=key_file)) as proxy,
    ):
        answer, text = await asked(proxy, path)
        address, _, ticket = text.rstrip("\n").partition("/?ticket=")
        assert address == str(worker.address)
        assert good(ticket)
        assert answer.headers["X-Ticket"] == ticket
        assert answer.headers["Cache-Control"] == "no-store"


async def test_json_has_the_ticket_in_a_field(key_file: KeyFile) -> None:
    async with fake_worker() as worker, single_process_proxy(settings(worker, ticket_keys=key_file)) as proxy:
        answer, text = await asked(proxy, "/worker", accept="application/json")
        document = json.loads(text)
        assert document["address"] == str(worker.address)
        assert good(document["ticket"])
        assert answer.headers["X-Ticket"] == document["ticket"]


async def test_the_workers_come_with_one_though_none_is_ready(key_file: KeyFile) -> None:
    async with fake_worker() as worker:
        worker.ready = False
        async with single_process_proxy(settings(worker, ticket_keys=key_file)) as proxy:
            answer, text = await asked(proxy, "/workers")
            assert json.loads(text)["workers"][0]["state"] != "ready"
            assert good(answer.headers["X-Ticket"])
            assert answer.headers["Cache-Control"] == "no-store"
            assert answer.headers["X-Ticket"] not in text
            assert (await asked(proxy, "/worker"))[0].status == 503


async def test_a_lease_has_one_for_all_its_workers(key_file: KeyFile) -> None:
    async with fake_worker() as one, fake_worker() as two:
        async with single_process_proxy(settings(one, two, ticket_keys=key_file)) as proxy:
            document = json.loads((await asked(proxy, "/worker?n=8"))[1])
            assert good(document["ticket"])
            assert len(document["workers"]) == 2
            lines = (await asked(proxy, "/worker?n=8", accept="text/plain"))[1].splitlines()
            for worker, line in zip((one, two), lines, strict=True):
                address, _, ticket = line.partition("/?ticket=")
                assert address == str(worker.address)
                assert good(ticket)


@pytest.mark.parametrize(
    ("path", "target", "rest"),
    [
        ("/", "/", ""),
        ("/predict", "/predict", ""),
        ("/predict?top=2&x=a%20b", "/predict", "&top=2&x=a%20b"),
        ("/?ticket=theirs", "/", "&ticket=theirs"),  # of two the first counts
    ],
)
async def test_an_image_is_sent_on_with_a_ticket(
    key_file: KeyFile, path: str, target: str, rest: str
) -> None:
    async with (
        fake_worker() as worker,
        single_process_proxy(settings(worker, mode="p2p", ticket_keys=key_file)) as proxy,
    ):
        answer, _ = await asked(proxy, path, method="POST", data=b"image")
        assert answer.status == 307
        before, _, query = answer.headers["Location"].partition("?ticket=")
        assert before == worker.address.url + target
        ticket, ampersand, behind = query.partition("&")
        assert good(ticket)
        assert ampersand + behind == rest


async def test_forwarded_requests_carry_the_proxys_ticket(key_file: KeyFile) -> None:
    async with fake_worker() as worker, aiohttp.ClientSession() as session:
        async with single_process_proxy(settings(worker, ticket_keys=key_file)) as proxy:
            async with session.post(proxy.url, data=b"image", headers={"X-Ticket": "theirs"}) as answer:
                assert answer.status == 200
                assert "X-Ticket" not in answer.headers
        (seen,) = worker.seen
        assert len(seen.headers.getall("X-Ticket")) == 1
        assert good(seen.headers["X-Ticket"])


def opens(ticket: str | None) -> list[str]:
    """The models whose workers take the ticket."""
    return [model for model in ("m", "other") if check(KEYS, "tfleet", ticket, time.time(), model) is None]


@pytest.mark.parametrize(("query", "model"), [("model=m&label=prod", "m"), ("model=other", "other")])
async def test_a_lookups_ticket_opens_one_model(key_file: KeyFile, query: str, model: str) -> None:
    async with fleet_of("m/1", "m/2", "other/7", ticket_keys=key_file) as (proxy, _):
        for accept in ("application/json", "text/plain"):
            answer, _ = await asked(proxy, f"/worker?{query}", accept=accept)
            assert opens(answer.headers["X-Ticket"]) == [model]
        lease = json.loads((await asked(proxy, f"/worker?n=8&{query}"))[1])
        assert opens(lease["ticket"]) == [model]
        assert not good(lease["ticket"]), "another model's workers, whatever it is called"
        answer, _ = await asked(proxy, "/workers")
        assert opens(answer.headers["X-Ticket"]) == ["m", "other"], "an operator may drain any worker"


async def test_a_redirects_ticket_opens_one_model(key_file: KeyFile) -> None:
    async with fleet_of("m/1", "other/7", ticket_keys=key_file) as (proxy, _):
        answer, _ = await asked(proxy, "/models/other/predict?top=1", method="POST")
        ticket = answer.headers["Location"].partition("?ticket=")[2].partition("&")[0]
        assert opens(ticket) == ["other"]


async def test_a_forwarded_requests_ticket_opens_one_model(key_file: KeyFile) -> None:
    async with fleet_of("m/1", "other/7", mode="forward", ticket_keys=key_file) as (proxy, served):
        for model, label in (("m", "m/1"), ("other", "other/7")):
            await asked(proxy, f"/models/{model}/predict", method="POST", data=b"x")
            (seen,) = served[label].seen
            assert opens(seen.headers["X-Ticket"]) == [model]


async def test_without_keys_there_are_no_tickets() -> None:
    async with fake_worker() as worker, single_process_proxy(settings(worker)) as proxy:
        answer, text = await asked(proxy, "/worker")
        assert text == f"{worker.address}\n"
        assert "X-Ticket" not in answer.headers
        for path in ("/worker", "/worker?n=1"):
            assert "ticket" not in json.loads((await asked(proxy, path, accept="application/json"))[1])


async def refuses(_: web.Request) -> web.StreamResponse:
    return web.Response(status=401, headers={"WWW-Authenticate": "Tfleet-Ticket"})


@pytest.mark.parametrize(
    ("with_keys", "said"),
    [
        (True, "refuses this proxy's ticket: both need the same --ticket-key-file and --service"),
        (False, "asks for a ticket, and this proxy has no --ticket-key-file"),
    ],
)
async def test_a_refused_proxy_ticket_is_not_shown_to_clients(
    key_file: KeyFile, with_keys: bool, said: str
) -> None:
    keys = key_file if with_keys else None
    async with fake_worker() as worker, single_process_proxy(settings(worker, ticket_keys=keys)) as proxy:
        worker.answer = refuses
        for _ in range(7):  # also when it has happened again and again
            answer, text = await asked(proxy, "/", method="POST", data=b"image")
            assert answer.status == 502
            assert "WWW-Authenticate" not in answer.headers
            assert json.loads(text)["detail"].startswith(f"no worker answered: {worker.address}: {said}")


async def test_a_worker_refusing_tickets_is_ejected_with_reason(key_file: KeyFile) -> None:
    """Another worker is asked."""
    async with (
        fake_worker() as one,
        fake_worker() as two,
        single_process_proxy(settings(one, two, ticket_keys=key_file)) as proxy,
    ):
        one.answer = refuses
        for _ in range(4):
            answer, _ = await asked(proxy, "/", method="POST", data=b"image")
            assert answer.status == 200
        assert len(two.seen) == 4

        async def told() -> list[str]:
            rows = json.loads((await asked(proxy, "/workers"))[1])["workers"]
            return [row["last_error"] for row in rows if row["state"] == "ejected"]

        (error,) = await told()
        assert "refuses this proxy's ticket" in error
        one.answer = None

        async def served() -> int:
            await asked(proxy, "/", method="POST", data=b"image")
            return len(one.seen)

        await eventually(served)  # a probe has brought it back


@pytest.mark.process
async def test_keys_that_change_need_no_restart(key_file: KeyFile, tmp_path: Path) -> None:
    async with fake_worker() as worker, single_process_proxy(settings(worker, ticket_keys=key_file)) as proxy:
        path = tmp_path / "tickets.key"
        path.write_text("n" * 64)
        os.utime(path, (1, 1))

        async def given() -> str | None:
            return (await asked(proxy, "/worker"))[0].headers["X-Ticket"]

        def by_the_new(ticket: str | None) -> bool:
            return check(TicketKeys((b"n" * 64,)), "tfleet", ticket, time.time()) is None

        await eventually(given, wanted=by_the_new)
