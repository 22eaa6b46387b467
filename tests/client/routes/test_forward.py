from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tfleet.client import AsyncFleetClient, FleetUnavailableError, WorkerFailedError

if TYPE_CHECKING:
    from tests.client.conftest import ScriptedFleet


async def test_the_image_goes_to_the_proxy_and_nowhere_else(fleet: ScriptedFleet) -> None:
    proxy = fleet.server()
    async with AsyncFleetClient(proxy.address) as client:
        await client.classify(b"BM image")
    assert [(seen.method, seen.path) for seen in proxy.seen] == [("POST", "/predict")]


async def test_a_proxy_that_cannot_be_reached_is_named(nobody: str) -> None:
    async with AsyncFleetClient(nobody) as client:
        with pytest.raises(
            FleetUnavailableError, match=f"cannot reach http://{nobody}: connection"
        ) as caught:
            await client.classify(b"BM")
    assert caught.value.status is None
    assert caught.value.request_id is not None


async def test_an_answer_cut_short_is_a_fleet_error(fleet: ScriptedFleet) -> None:
    proxy = fleet.server(fleet.cut_short())
    async with AsyncFleetClient(proxy.url) as client:
        with pytest.raises(WorkerFailedError, match="cut short"):
            await client.classify(b"BM")
    assert len(proxy.seen) == 1


async def test_retries_of_a_503_are_the_proxys_not_the_clients(fleet: ScriptedFleet) -> None:
    proxy = fleet.server(fleet.problem(503, "no worker", Retry_After="2"))
    async with AsyncFleetClient(proxy.url) as client:
        with pytest.raises(FleetUnavailableError, match="no worker") as caught:
            await client.classify(b"BM")
    assert caught.value.retry_after_s == 2.0
    assert len(proxy.seen) == 1
