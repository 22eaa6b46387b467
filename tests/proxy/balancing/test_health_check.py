import aiohttp
import pytest

from tests.support.canned_server import canned, nobody
from tfleet.contract.address import Address
from tfleet.discovery.instance import Instance
from tfleet.proxy.balancing.health_check import Prober
from tfleet.proxy.balancing.worker_table import WorkerTable


async def error_at(address: Address) -> str:
    """What the table says of a worker there, once it was probed."""
    table = WorkerTable()
    table.apply_instances([Instance("w1", address)])
    async with aiohttp.ClientSession() as session:
        await Prober(table, session).round()
    return table.pool.members["w1"].last_error


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_refused_probe_has_a_plain_reason(host: str) -> None:
    assert await error_at(Address(host, nobody().port)) == "connection refused"


async def test_a_server_that_is_no_worker_has_a_plain_reason() -> None:
    with canned(b"220 mail.example ESMTP\r\n") as mail:
        assert await error_at(mail) == "the response is not valid HTTP"


async def test_a_proxy_is_no_worker() -> None:
    """A stranger who registers a proxy's own address would have it forward to itself."""
    answer = b"HTTP/1.1 200 OK\r\nX-Proxy: proxy-1\r\nContent-Length: 0\r\n\r\n"
    with canned(answer) as proxy:
        assert await error_at(proxy) == "a proxy answers at its address"
