"""Who gets the threads of a worker, and when."""

from __future__ import annotations

import asyncio
import random
import threading
import time

from tfleet.worker.jobs.lanes import Lanes, Reservation
from tfleet.worker.jobs.refusals import Refusals
from tfleet.worker.wsgi.admission_queue import AdmissionQueue, QueueLimits


class Scene:
    """A worker with so many threads, and the lanes of so many shards."""

    def __init__(self, threads: int, shards: int) -> None:
        self.queue = AdmissionQueue(threads, QueueLimits())
        refusals = Refusals(time.monotonic, random.Random(1))
        self.lanes = Lanes(lambda: self.queue.free_threads, shards, refusals)
        self.queue.tell_of_free_threads(self.lanes.thread_freed)
        self.release = asyncio.Event()

    async def reserve(self) -> int:
        """The threads that a read has reserved; it holds them until `release`."""
        async with self.lanes.reserved() as mine:
            await self.release.wait()
            return mine.threads


async def settle() -> None:
    """Let all tasks go as far as they can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_reads_reserve_no_more_threads_than_are_free() -> None:
    scene = Scene(threads=5, shards=4)
    reads = [asyncio.create_task(scene.reserve()) for _ in range(9)]
    await settle()
    assert repr(scene.lanes) == "<Lanes sharing=0 reserved=5>"
    scene.release.set()
    assert sum(await asyncio.gather(*reads)) >= 9


async def test_a_freed_thread_is_known_at_once() -> None:
    """Nobody looks every few ms: without a word from the queue the read waits for ever."""
    scene = Scene(threads=1, shards=1)
    scene.queue.begin_at_once("a client's request")
    scene.release.set()
    read = asyncio.create_task(scene.reserve())
    await settle()
    assert not read.done()
    threading.Thread(target=scene.queue.end, args=("a client's request",)).start()
    assert await asyncio.wait_for(read, 10) == 1


async def test_nobody_is_told_of_a_thread_while_none_waits() -> None:
    scene = Scene(threads=1, shards=1)
    change = scene.lanes.__dict__["_change"]
    for number in range(3):
        scene.queue.begin_at_once(number)
        scene.queue.end(number)
    await settle()
    assert not change.is_set()


async def test_shards_take_turns() -> None:
    scene, order = Scene(threads=1, shards=2), list[str]()

    async def read(name: str) -> None:
        for _ in range(3):
            async with scene.lanes.reserved() as mine:
                assert (mine.threads, mine.scarce) == (1, True)
                order.append(name)
                await asyncio.sleep(0)

    await asyncio.gather(read("a"), read("b"))
    assert "".join(order) == "ababab"


async def test_no_read_begins_while_a_job_runs_alone() -> None:
    scene = Scene(threads=2, shards=1)
    scene.release.set()
    async with scene.lanes.alone():
        read = asyncio.create_task(scene.reserve())
        await settle()
        assert not read.done()
    assert await asyncio.wait_for(read, 10) == 2


async def test_a_job_runs_alone_when_others_end_and_a_thread_is_free() -> None:
    scene, began = Scene(threads=1, shards=1), asyncio.Event()

    async def run() -> None:
        async with scene.lanes.alone():
            began.set()

    scene.lanes.share()
    scene.queue.begin_at_once("a client's request")
    task = asyncio.create_task(run())
    await settle()
    assert not began.is_set()
    scene.lanes.end_sharing()
    await settle()
    assert not began.is_set(), "it would be refused"
    scene.queue.end("a client's request")
    await asyncio.wait_for(task, 10)


async def test_a_worker_that_stops_waits_for_no_thread() -> None:
    scene = Scene(threads=0, shards=1)
    scene.release.set()
    read = asyncio.create_task(scene.reserve())
    await settle()
    scene.lanes.stop()
    assert await asyncio.wait_for(read, 10) == 0


async def test_a_used_thread_is_counted_by_the_server_only() -> None:
    scene = Scene(threads=3, shards=1)
    async with scene.lanes.reserved() as mine:
        assert mine == Reservation(3, scarce=False)
        scene.queue.begin_at_once("a job")
        scene.lanes.use(mine)
        assert mine.threads == 2
    assert repr(scene.lanes) == "<Lanes sharing=0 reserved=0>"
