from __future__ import annotations

import asyncio

import pytest

from tfleet.client.concurrency.single_flight import SingleFlight


class Job:
    def __init__(self) -> None:
        self.begun = 0
        self.end = asyncio.Event()

    async def run(self) -> int:
        self.begun += 1
        await self.end.wait()
        return self.begun


async def test_concurrent_callers_share_one_job() -> None:
    flight: SingleFlight[int] = SingleFlight()
    job = Job()
    waiting = [asyncio.create_task(flight.result(job.run)) for _ in range(3)]
    assert flight.begin(job.run) is flight.begin(job.run)
    assert (flight.busy, repr(flight)) == (True, "<SingleFlight busy>")
    job.end.set()
    assert await asyncio.gather(*waiting) == [1, 1, 1]
    assert (flight.busy, repr(flight)) == (False, "<SingleFlight idle>")
    assert await flight.result(job.run) == 2


async def test_a_cancelled_caller_leaves_the_job_to_the_others() -> None:
    flight: SingleFlight[int] = SingleFlight()
    job = Job()
    one, other = (asyncio.create_task(flight.result(job.run)) for _ in range(2))
    await asyncio.sleep(0)
    one.cancel()
    with pytest.raises(asyncio.CancelledError):
        await one
    job.end.set()
    assert await other == 1


async def test_the_jobs_error_is_raised_to_every_caller() -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await SingleFlight[None]().result(fail)


async def test_closing_ends_the_job_and_its_callers() -> None:
    flight: SingleFlight[int] = SingleFlight()
    waiting = asyncio.create_task(flight.result(Job().run))
    await asyncio.sleep(0)
    await flight.close()
    with pytest.raises(RuntimeError, match="the client is closed"):
        await waiting
    with pytest.raises(RuntimeError, match="the client is closed"):
        flight.begin(Job().run)
    assert repr(flight) == "<SingleFlight closed>"
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_single_flight_that_was_never_used_can_be_closed() -> None:
    await SingleFlight[None]().close()
