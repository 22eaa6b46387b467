import aiohttp
import pytest
from aiohttp import web

from tests.support.embedded_registry import embedded_registry
from tests.support.fake_worker import fake_worker, settings
from tests.support.registered_workers import ready, register, workers
from tests.support.waiting import eventually
from tfleet.contract.address import Address
from tfleet.discovery.instance import Instance
from tfleet.discovery.registry import ConsulRegistry
from tfleet.proxy.balancing.member import addressee
from tfleet.proxy.server import single_process_proxy


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("tfleet-w-1-0", b"Host: w:8000\r\nX-Worker: tfleet-w-1-0"),
        ("w:8000", b"Host: w:8000"),
        ("w1\r\nX-Evil: b", b"Host: w:8000"),
        ("w\u00e9", b"Host: w:8000"),
        (" w1", b"Host: w:8000"),
    ],
)
def test_x_worker_is_sent_only_with_a_valid_id(name: str, lines: bytes) -> None:
    assert addressee(Instance(name, Address("w", 8000))) == lines


async def test_an_image_is_read_only_by_the_worker_it_names() -> None:
    """The worker at w1's address is w3 by now, and answers as a worker does."""

    async def misdirected(request: web.Request) -> web.Response:
        assert request.headers.getall("X-Worker") == ["w1"], "not what the client said"
        return web.Response(status=421, headers={"X-Worker": "w3"})

    with embedded_registry() as registry:
        async with fake_worker() as taken, fake_worker() as stays:
            async with single_process_proxy(settings(registry=ConsulRegistry(registry))) as proxy:
                taken.name, stays.name = "w1", "w2"
                await register(registry, taken.address)
                await register(registry, stays.address, worker_id="w2")
                await eventually(lambda: workers(proxy), wanted=lambda rows: ready(rows, 2))
                taken.name, taken.answer = "w3", misdirected
                async with aiohttp.ClientSession(headers={"X-Worker": "mine"}) as session:
                    for _ in range(4):
                        async with session.post(proxy.url, data=b"x") as answer:
                            assert (answer.status, answer.headers["X-Worker"]) == (200, "w2")
                assert [seen.headers.getall("X-Worker") for seen in stays.seen] == [["w2"]] * 4
                (row,) = [row for row in await workers(proxy) if row["id"] == "w1"]
                assert (row["state"], row["last_error"]) == ("ejected", "w3 answers at its address")
