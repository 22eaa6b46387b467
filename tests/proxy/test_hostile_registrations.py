"""What strangers have registered: nothing of it may be more than data, and nobody else may suffer by it."""

import asyncio
from collections.abc import Iterator

import aiohttp
import pytest
from structlog.testing import capture_logs

from tests.support.either_registry import REGISTRIES, either_registry
from tests.support.fake_worker import fake_worker, settings
from tests.support.registered_workers import ready, register, workers
from tests.support.waiting import eventually
from tfleet.contract.address import Address
from tfleet.discovery.registry import ConsulRegistry
from tfleet.proxy.server import single_process_proxy
from tfleet.proxy.settings import Mode

EVIL = "x\r\nSet-Cookie: a=b"
ASKED = (
    "GET /worker",
    "GET /worker?n=8",
    "GET /worker?except=x",
    "GET /",
    "POST /",
    "GET /workers",
    "GET /metrics",
    "GET /readyz",
    f"GET /workers/{'x%0D%0ASet-Cookie%3A%20a%3Db'}/metrics",
)

ODD: tuple[dict[str, object], ...] = (
    {"Meta": {"model": "a\r\nX-Evil: 1"}},
    {"Meta": {"version": "\x1b[2J"}},
    {"Meta": {"model": "m" * 400}},
    {"Address": "h\r\nX-Evil: 1"},
)


@pytest.fixture(params=REGISTRIES)
def registry(request: pytest.FixtureRequest) -> Iterator[Address]:
    with either_registry(request.param) as address:
        yield address


async def raw(proxy: Address, line: str) -> bytes:
    """All bytes of an answer."""
    reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
    writer.write(
        f"{line} HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode("latin-1")
    )
    try:
        return await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize("mode", ["forward", "p2p"])
async def test_an_id_with_line_ends_reaches_no_answer(registry: Address, mode: Mode) -> None:
    async with fake_worker() as good, fake_worker() as evil:
        good.name = "w1"
        with capture_logs() as lines:
            async with single_process_proxy(settings(mode=mode, registry=ConsulRegistry(registry))) as proxy:
                await register(registry, evil.address, worker_id=EVIL)
                await register(registry, good.address)
                await eventually(lambda: workers(proxy), wanted=ready)
                for line in ASKED:
                    for _ in range(4):
                        answer = await raw(proxy, line)
                        assert answer.startswith(b"HTTP/1.1 "), line
                        assert b"set-cookie" not in answer.partition(b"\r\n\r\n")[0].lower(), line
                        assert b"\r\nSet-Cookie" not in answer, line
        assert evil.seen == []
        assert len(good.seen) == (4 if mode == "forward" else 0)
    (warning,) = [line for line in lines if "lists unusable entries" in line["event"]]
    assert warning["rejected"] == [r"its id is not a valid token: 'x\r\nSet-Cookie: a=b'"]


async def test_odd_models_and_addresses_are_refused_and_others_served(registry: Address) -> None:
    async with (
        fake_worker() as good,
        single_process_proxy(settings(registry=ConsulRegistry(registry))) as proxy,
    ):
        async with aiohttp.ClientSession() as session:
            for number, odd in enumerate(ODD):
                definition = {"ID": f"odd-{number}", "Name": "tfleet", "Port": 1, "Address": "127.0.0.1"}
                url = f"{registry.url}/v1/agent/service/register"
                async with session.put(url, json={**definition, **odd}) as answer:
                    assert answer.status == 200
        await register(registry, good.address)
        (row,) = await eventually(lambda: workers(proxy), wanted=ready)
        assert row["id"] == "w1"
        assert b"X-Evil" not in await raw(proxy, "GET /workers")
