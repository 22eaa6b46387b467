import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from tests.support.canned_server import nobody
from tests.support.fake_worker import raw_server
from tests.support.waiting import eventually
from tfleet.contract.address import Address
from tfleet.proxy.upstream.connection_pool import WorkerConnections


async def stay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


@contextlib.asynccontextmanager
async def connections(keep_alive_s: float = 60.0) -> AsyncIterator[tuple[WorkerConnections, Address]]:
    async with raw_server(stay) as worker:
        with WorkerConnections(asyncio.get_running_loop(), keep_alive_s) as found:
            yield found, worker


async def test_the_last_used_connection_is_taken_first() -> None:
    async with connections() as (found, worker):
        one, two = await found.connect(worker), await found.connect(worker)
        assert found.take(worker) is None, "they are in use"
        found.put(one)
        found.put(two)
        assert [found.take(worker), found.take(worker), found.take(worker)] == [two, one, None]


async def test_a_connection_that_has_ended_is_not_reused() -> None:
    """Though the loop has not said so yet: the next request may come in the same turn."""
    async with connections() as (found, worker):
        one = await found.connect(worker)
        found.put(one)
        one.eof_received()
        assert found.take(worker) is None
        found.put(one)
        assert found.take(worker) is None


async def test_a_connection_idle_for_too_long_is_closed() -> None:
    async with connections(keep_alive_s=0.1) as (found, worker):
        one = await found.connect(worker)
        found.put(one)
        await asyncio.sleep(0.11)
        assert found.take(worker) is None
        await eventually(lambda: asyncio.sleep(0, repr(found)), wanted=lambda text: "0 idle of 0" in text)


async def test_a_refused_connection_is_an_os_error() -> None:
    async with connections() as (found, _):
        with pytest.raises(OSError, match="onnect"):
            await found.connect(nobody())
