import aiohttp
import pytest

from tests.canned import canned, nobody
from tfleet.discovery.address import Address
from tfleet.discovery.instance import Instance
from tfleet.proxy.fleet import Fleet
from tfleet.proxy.probe import Prober


async def error_at(address: Address) -> str:
    """What the table says of a worker there, once it was probed."""
    fleet = Fleet()
    fleet.synced([Instance("w1", address)])
    async with aiohttp.ClientSession() as session:
        await Prober(fleet, session).round()
    return fleet.pool.members["w1"].last_error


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_refused_probe_is_told_in_plain_words(host: str) -> None:
    assert await error_at(Address(host, nobody().port)) == "connection refused"


async def test_what_is_no_worker_is_told_in_plain_words() -> None:
    with canned(b"220 mail.example ESMTP\r\n") as mail:
        assert await error_at(mail) == "it does not answer as HTTP does"
