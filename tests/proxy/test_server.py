import asyncio
import os
import signal

import aiohttp
import pytest
from aiohttp import web

from tests.support.embedded_registry import embedded_registry
from tests.support.fake_worker import fake_worker, settings
from tests.support.registered_workers import deregister, ready, register, workers
from tests.support.waiting import eventually
from tfleet.contract.address import Address
from tfleet.discovery.registry import ConsulRegistry, EmbeddedRegistry
from tfleet.httpd.listen import CannotListenError
from tfleet.proxy.server import run_proxy, single_process_proxy

EMBEDDED = EmbeddedRegistry(Address("127.0.0.1", 0))


async def test_registered_workers_are_found_and_leaving_dropped() -> None:
    with embedded_registry() as registry:
        async with (
            fake_worker() as worker,
            single_process_proxy(settings(registry=ConsulRegistry(registry))) as proxy,
        ):
            await register(registry, worker.address)
            (row,) = await eventually(lambda: workers(proxy), wanted=ready)
            assert (row["id"], row["model"]) == ("w1", "lite0")
            worker.ready = False
            await deregister(registry)
            await eventually(lambda: workers(proxy), wanted=lambda rows: rows == [])


async def test_a_forgotten_worker_is_kept_while_ready() -> None:
    with embedded_registry() as registry:
        async with (
            fake_worker() as worker,
            single_process_proxy(settings(registry=ConsulRegistry(registry))) as proxy,
        ):
            await register(registry, worker.address)
            await eventually(lambda: workers(proxy), wanted=ready)
            await deregister(registry)
            (row,) = await eventually(lambda: workers(proxy), wanted=lambda rows: rows[0]["listed"] is False)
            assert row["state"] == "ready"


async def test_another_server_at_a_workers_address_gets_no_image() -> None:
    with embedded_registry() as registry:
        async with (
            fake_worker() as stranger,
            single_process_proxy(settings(registry=ConsulRegistry(registry))) as proxy,
        ):
            stranger.name = "w2"
            await register(registry, stranger.address)
            (row,) = await eventually(
                lambda: workers(proxy), wanted=lambda rows: rows and rows[0]["state"] == "ejected"
            )
            assert row["last_error"] == "w2 answers at its address"


async def test_an_answer_of_another_server_is_not_passed_on() -> None:
    """It got the address after the last probe; its labels are those of another model."""
    with embedded_registry() as registry:
        async with fake_worker() as lost, fake_worker() as stays:
            async with single_process_proxy(settings(registry=ConsulRegistry(registry))) as proxy:
                lost.name, stays.name = "w1", "w2"
                await register(registry, lost.address)
                await register(registry, stays.address, worker_id="w2")
                await eventually(lambda: workers(proxy), wanted=lambda rows: ready(rows, 2))
                lost.name = "stranger"
                async with aiohttp.ClientSession() as session:
                    for _ in range(4):
                        async with session.post(proxy.url, data=b"x") as answer:
                            assert (answer.status, answer.headers["X-Worker"]) == (200, "w2")
                rows = {row["id"]: row for row in await workers(proxy)}
                assert rows["w1"]["last_error"] == "stranger answers at its address"


async def test_two_models_in_one_registry_never_mix() -> None:
    with embedded_registry() as registry:
        async with fake_worker() as one, fake_worker() as two, aiohttp.ClientSession() as session:
            async with single_process_proxy(settings(registry=ConsulRegistry(registry))) as proxy:
                await register(registry, one.address)
                await register(registry, two.address, worker_id="w2", model="flowers")
                await eventually(lambda: workers(proxy), wanted=lambda rows: ready(rows, 2))
                for model, worker in (("lite0", "w1"), ("flowers", "w2")):
                    for _ in range(4):
                        async with session.post(f"{proxy.url}/models/{model}", data=b"x") as answer:
                            assert answer.headers["X-Worker"] == worker
                async with session.post(proxy.url, data=b"x") as answer:
                    assert answer.status == 400
                    assert "name one" in (await answer.json())["detail"]
                async with session.post(f"{proxy.url}/models/dogs", data=b"x") as answer:
                    assert answer.status == 404
                    assert "there is flowers, lite0" in (await answer.json())["detail"]


async def test_an_ejected_worker_returns_when_reachable() -> None:
    async with fake_worker() as worker:
        address = worker.address
    async with single_process_proxy(settings(address)) as proxy, aiohttp.ClientSession() as session:
        assert (await workers(proxy))[0]["state"] == "ejected"
        async with fake_worker(address.port):
            await eventually(lambda: workers(proxy), wanted=lambda rows: rows[0]["state"] == "ready")
            async with session.post(proxy.url, data=b"x") as answer:
                assert answer.status == 200


async def test_the_embedded_registry_is_the_proxy_s_own() -> None:
    async with single_process_proxy(settings(registry=EMBEDDED)) as proxy:
        assert await workers(proxy) == []


async def test_a_taken_port_is_one_line_that_names_the_option() -> None:
    async with single_process_proxy(settings(registry=EMBEDDED)) as taken:
        with pytest.raises(CannotListenError, match=f"{taken}: Address already in use; see --port"):
            async with single_process_proxy(settings(registry=EMBEDDED, port=taken.port)):
                pytest.fail("it started")
        with pytest.raises(CannotListenError, match=f"{taken}.*--registry-port"):
            async with single_process_proxy(settings(registry=EmbeddedRegistry(taken))):
                pytest.fail("it started")


async def test_sigterm_finishes_what_is_in_flight() -> None:
    arrived, release = asyncio.Event(), asyncio.Event()

    async def hold(request: web.Request) -> web.Response:
        arrived.set()
        await release.wait()
        return web.Response(text="finished")

    async with fake_worker() as probe:
        port = probe.address.port
    async with fake_worker() as worker, aiohttp.ClientSession() as session:
        worker.answer = hold
        serving = asyncio.ensure_future(run_proxy(settings(worker, port=port)))
        url = f"http://127.0.0.1:{port}"

        async def listening() -> bool:
            try:
                async with session.get(f"{url}/healthz") as answer:
                    return answer.ok
            except aiohttp.ClientError:
                return False

        await eventually(listening)
        held = asyncio.ensure_future(session.post(url, data=b"x"))
        await arrived.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        await eventually(lambda: _refused(port))
        release.set()
        async with await held as answer:
            assert await answer.text() == "finished"
        await serving
        for signum in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().remove_signal_handler(signum)


async def _refused(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return True
    writer.close()
    return False
