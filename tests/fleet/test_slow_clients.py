"""Slow-loris: clients that take their time, many of them, cost the others nothing."""

import asyncio
import contextlib
from collections import Counter
from pathlib import Path

from tests.support.canned_server import nobody
from tests.support.fleet_processes import Fleet, registry_process
from tests.support.raw_client import abort
from tests.support.steady_load import SteadyLoad
from tfleet.contract.address import Address

RATE = 200.0
REQUESTS = 2000
SLOW = 500
HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\nContent-Type: image/png\r\n"


async def drip(proxy: Address, begin: bytes) -> str:
    """Send a beginning at once and then a byte now and then; the status line of the answer, once it ends."""
    reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
    writer.write(begin)
    answer = asyncio.ensure_future(reader.read())
    try:
        while not (await asyncio.wait([answer], timeout=0.5))[0]:
            writer.write(b"x")
        return (await answer).split(b"\r\n")[0].decode()
    except ConnectionError:
        return "reset"
    finally:
        abort(writer)


async def test_500_slow_clients_cost_a_good_one_nothing(model: Path) -> None:
    with contextlib.ExitStack() as stack:
        registry = nobody()
        await asyncio.to_thread(stack.enter_context, registry_process(registry))
        fleet = Fleet(f"consul://{registry}", model, stack)
        await fleet.start(2, "--header-timeout", "3", "--timeout", "6")
        async with SteadyLoad(fleet.proxy.url, rate=RATE) as load:
            await load.sent(100)
            async with asyncio.TaskGroup() as group:
                heads = [group.create_task(drip(fleet.proxy, HEAD + b"X: ")) for _ in range(SLOW // 2)]
                bodies = [group.create_task(drip(fleet.proxy, HEAD + b"\r\n")) for _ in range(SLOW // 2)]
            await load.sent(REQUESTS)
        assert load.tally.faultless, f"{load.tally} {load.tally.failures[:3]}"
        assert Counter(task.result() for task in heads) == {"HTTP/1.1 408 Request Timeout": SLOW // 2}
        assert Counter(task.result() for task in bodies) == {"HTTP/1.1 504 Gateway Timeout": SLOW // 2}
        await asyncio.to_thread(fleet.stop)
