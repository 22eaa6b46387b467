"""What is only for those who can reach a worker itself does not pass the proxy: nobody drains through it."""

import asyncio

import pytest

from tests.support.fake_worker import fake_worker, settings
from tfleet.contract.address import Address
from tfleet.proxy.server import single_process_proxy
from tfleet.proxy.settings import Mode

TARGETS = (
    "/drain",
    "/drain?worker=w1",
    "/drain/",
    "//drain",
    "/%64rain",
    "/./drain",
    "/predict/../drain",
    "/predict/drain",
    "/predict%2f..%2fdrain",
    "/?/../drain",
    "http://x/drain",
    "*",
    "/metrics",
)


async def post(proxy: Address, target: str) -> str:
    """The head of the answer, to a request line as it stands."""
    reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
    head = f"POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    writer.write(head.encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer.decode().partition("\r\n\r\n")[0]


@pytest.mark.parametrize("mode", ["forward", "p2p"])
async def test_no_spelling_of_a_private_path_reaches_a_worker(mode: Mode) -> None:
    async with fake_worker() as worker, single_process_proxy(settings(worker, mode=mode)) as proxy:
        for target in TARGETS:
            head = await post(proxy, target)
            assert head.startswith("HTTP/1.")
            location = head.partition("Location: ")[2].partition("\r\n")[0]
            assert location in {"", f"{worker.address.url}/?/../drain"}, "a query to `/`, as it came"
        assert {seen.path for seen in worker.seen} <= {"/?/../drain"}
