"""`--admin-port`: the operators' pages on a port of their own."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import aiohttp
import pytest

from tests.proxy.admin.test_app import get
from tests.support.canned_server import nobody
from tests.support.fake_worker import CLIENT_LIMITS, fake_worker, settings
from tests.support.raw_client import raw_client
from tests.support.waiting import eventually
from tfleet.contract.cors import Cors
from tfleet.httpd.listen import CannotListenError
from tfleet.proxy.server import single_process_proxy

OPERATORS = ("/workers", "/metrics")


async def test_the_operators_pages_are_on_the_admin_port_alone() -> None:
    admin = nobody()
    async with fake_worker() as worker, single_process_proxy(settings(worker, admin=admin)) as proxy:
        for path in (*OPERATORS, f"/workers/{worker.address}/metrics"):
            assert (await get(admin, path))[0].status == 200
            for method in ("GET", "POST", "DELETE"):
                answer, text = await get(proxy, path, method=method)
                assert answer.status == 404
                problem = json.loads(text)
                assert problem["detail"] == f"{path} is not served on this port"
                assert str(admin.port) not in text


async def test_without_an_admin_port_all_pages_are_public() -> None:
    async with fake_worker() as worker, single_process_proxy(settings(worker)) as proxy:
        for path in OPERATORS:
            assert (await get(proxy, path))[0].status == 200


async def test_both_ports_say_whether_the_proxy_is_alive_and_ready() -> None:
    admin = nobody()
    async with fake_worker() as worker, single_process_proxy(settings(worker, admin=admin)) as proxy:
        for port in (proxy, admin):
            for path in ("/healthz", "/readyz"):
                assert (await get(port, path))[0].status == 200


async def test_each_front_page_names_its_own_pages() -> None:
    admin = nobody()
    async with fake_worker() as worker, single_process_proxy(settings(worker, admin=admin)) as proxy:
        assert "/workers" not in (await get(proxy, "/"))[1]
        assert "/workers" in (await get(admin, "/"))[1]


async def test_the_admin_port_takes_no_images() -> None:
    admin = nobody()
    async with fake_worker() as worker, single_process_proxy(settings(worker, admin=admin)):
        for path in ("/", "/predict"):
            answer, _ = await get(admin, path, method="POST")
            assert answer.status == 404
        assert (await get(admin, "/worker"))[0].status == 404
    assert worker.seen == []


async def test_pages_of_both_ports_are_counted_together() -> None:
    admin = nobody()
    async with fake_worker() as worker, single_process_proxy(settings(worker, admin=admin)) as proxy:
        await get(proxy, "/healthz")
        await get(admin, "/healthz")
        _, text = await get(admin, "/metrics")
        assert 'tfleet_proxy_requests_total{route="/healthz",status="200"} 2.0' in text.splitlines()


async def test_the_admin_port_answers_when_the_proxy_is_full() -> None:
    admin, limits = nobody(), replace(CLIENT_LIMITS, max_connections=1)
    async with fake_worker() as worker:
        async with single_process_proxy(settings(worker, admin=admin, client_limits=limits)) as proxy:
            async with raw_client(proxy) as held:
                await held.send(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
                assert (await held.answer()).status == 200
                assert (await get(proxy, "/healthz"))[0].status == 503
                assert (await get(admin, "/workers"))[0].status == 200


async def test_origins_are_allowed_on_both_ports() -> None:
    admin = nobody()
    anywhere = Cors(frozenset({"*"}))
    async with (
        fake_worker() as worker,
        single_process_proxy(settings(worker, admin=admin, cors=anywhere)) as proxy,
    ):
        for port, path in ((proxy, "/workers"), (admin, "/workers"), (proxy, "/healthz")):
            answer, _ = await get(port, path)
            assert answer.headers["Access-Control-Allow-Origin"] == "*"


async def test_the_admin_port_says_that_the_proxy_drains() -> None:
    admin = nobody()
    async with fake_worker() as worker:
        proxied = single_process_proxy(settings(worker, admin=admin, drain_grace_s=0.5))
        await proxied.__aenter__()
        assert (await get(admin, "/readyz"))[0].status == 200
        async with asyncio.TaskGroup() as group:
            group.create_task(
                eventually(lambda: get(admin, "/readyz"), wanted=lambda found: found[0].status == 503)
            )
            await proxied.__aexit__(None, None, None)
    with pytest.raises(aiohttp.ClientConnectorError):
        await get(admin, "/healthz")


async def test_a_taken_admin_port_is_one_line_that_names_the_option() -> None:
    async with fake_worker() as worker, single_process_proxy(settings(worker)) as taken:
        with pytest.raises(CannotListenError, match=f"{taken}: Address already in use; see --admin-port"):
            async with single_process_proxy(settings(worker, admin=taken)):
                pytest.fail("it listens")
