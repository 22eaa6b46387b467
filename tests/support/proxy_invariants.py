"""What must be true of a proxy after whatever happened to it."""

import json
from typing import Any

from tests.support.scripted_worker import ScriptedWorker
from tests.support.strict_client import strict_client
from tests.support.waiting import eventually
from tfleet.contract.address import Address


async def get(proxy: Address, path: str) -> bytes:
    """What the proxy itself answers."""
    async with strict_client(proxy) as client:
        await client.send(f"GET {path} HTTP/1.1\r\nHost: proxy\r\n\r\n".encode())
        heard = await client.whole()
        assert heard.status == 200, heard
        return heard.body


async def metric(proxy: Address, name: str) -> float:
    """One line of the metrics."""
    for line in (await get(proxy, "/metrics")).decode().splitlines():
        if line.startswith(f"{name} "):
            return float(line.rpartition(" ")[2])
    raise AssertionError(f"no {name}")


async def rows(proxy: Address) -> list[dict[str, Any]]:
    """The table of workers."""
    found: list[dict[str, Any]] = json.loads(await get(proxy, "/workers"))["workers"]
    return found


async def states(proxy: Address) -> list[str]:
    """How the workers are, in their order."""
    return [row["state"] for row in await rows(proxy)]


async def assert_at_rest(proxy: Address, *workers: ScriptedWorker) -> None:
    """The proxy serves, has nothing open with anybody, and has left no connection to these workers."""

    async def busy() -> dict[str, float]:
        found = {str(worker.address): worker.open_lines for worker in workers}
        return {"in flight": await metric(proxy, "tfleet_proxy_in_flight"), **found}

    await eventually(busy, wanted=lambda found: not any(found.values()), timeout_s=3.0)
    assert await get(proxy, "/healthz") == b"ok\n"
