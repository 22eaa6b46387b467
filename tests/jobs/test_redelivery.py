"""What becomes of the jobs of workers that die, stop or are slow."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.jobs import STREAM, queued, taken
from tfleet.jobs.job import JobAnswer, JobState, TakenJob
from tfleet.jobs.shard import Shard, Totals

VISIBILITY_MS = 50
ANSWER = JobAnswer(200, {}, b"1")


async def reclaimed(shard: Shard, worker: str) -> TakenJob | None:
    """The job that this worker gets of another one, if any."""
    found = await shard.reclaim(worker, STREAM, VISIBILITY_MS)
    if found is None:
        return None
    [job] = (await shard.begin(worker, STREAM, [found])).jobs
    return job


async def abandoned(shard: Shard) -> None:
    """Wait until jobs have gone without renewal for the visibility."""
    await asyncio.sleep(VISIBILITY_MS / 1000 + 0.02)


async def test_a_job_without_renewal_goes_to_another_worker(shard: Shard) -> None:
    job_id = await queued(shard)
    await taken(shard, "dies")
    assert not await shard.has_abandoned(STREAM, VISIBILITY_MS)
    assert await reclaimed(shard, "w2") is None
    await abandoned(shard)
    assert await shard.has_abandoned(STREAM, VISIBILITY_MS)
    job = await reclaimed(shard, "w2")
    assert job is not None
    assert (job.id, job.deliveries) == (job_id, 2)
    assert await shard.finish(job, STREAM, ANSWER)


async def test_a_renewed_job_stays_with_its_worker(shard: Shard) -> None:
    """A run may take longer than the visibility: it happens once as long as its worker lives."""
    await queued(shard)
    [job] = await taken(shard, "slow")
    for _ in range(5):
        await asyncio.sleep(VISIBILITY_MS / 3000)
        assert await shard.renew("slow", STREAM, [job.entry]) == frozenset()
        assert await reclaimed(shard, "w2") is None
    assert await shard.finish(job, STREAM, ANSWER)


async def test_renewal_takes_no_job_back(shard: Shard) -> None:
    await queued(shard)
    [job] = await taken(shard, "stalled")
    await abandoned(shard)
    again = await reclaimed(shard, "w2")
    assert again is not None
    assert await shard.renew("stalled", STREAM, [job.entry]) == {job.entry}
    assert await shard.renew("w2", STREAM, [job.entry]) == frozenset()


async def test_the_first_of_two_workers_answers(shard: Shard) -> None:
    job_id = await queued(shard)
    [job] = await taken(shard, "stalled")
    await abandoned(shard)
    again = await reclaimed(shard, "w2")
    assert again is not None
    assert await shard.finish(job, STREAM, JobAnswer(200, {}, b"first"))
    assert not await shard.finish(again, STREAM, JobAnswer(200, {}, b"second"))
    done = await shard.read(job_id)
    assert done is not None
    assert done.answer is not None
    assert done.answer.body == b"first"


async def test_abandoned_jobs_are_taken_singly(shard: Shard) -> None:
    """Else a second crash would be counted for all of a batch, and a third would condemn it."""
    ids = {await queued(shard) for _ in range(4)}
    await taken(shard, "dies")
    await abandoned(shard)
    first = await reclaimed(shard, "w2")
    assert first is not None
    for other in ids - {first.id}:
        record = await shard.read(other)
        assert record is not None
        assert record.delivery.count == 1
    pending = await shard.connection.command(
        "XPENDING", shard.connection.prefix + STREAM, "workers", "-", "+", 10
    )
    assert sorted(row[3] for row in pending) == [1, 1, 1, 2]


async def test_the_third_delivery_makes_a_job_dead(shard: Shard) -> None:
    poison = await queued(shard, b"poison")
    await taken(shard, "w1")
    await abandoned(shard)
    assert await reclaimed(shard, "w2") is not None
    await abandoned(shard)
    assert await reclaimed(shard, "w3") is None
    dead = await shard.read(poison)
    assert dead is not None
    assert (dead.state, dead.delivery.count) == (JobState.DEAD, 2)
    assert "2 workers died" in dead.reason
    assert "w2" in dead.reason
    assert [job.id for job in await shard.list(dead=True)] == [poison]
    assert (await shard.totals()).jobs == 0


async def test_a_refused_job_that_may_kill_stays_alone(shard: Shard) -> None:
    """It would else be in a batch again, and in the end all of that batch would be dead."""
    poison = await queued(shard, b"poison")
    await taken(shard, "dies")
    for worker in ("full", "also full"):
        await abandoned(shard)
        job = await reclaimed(shard, worker)
        assert job is not None
        assert (job.id, job.deliveries) == (poison, 2)
        assert await shard.put_back(worker, STREAM, (job.entry, job.id), tried=False)
        assert not await shard.put_back(worker, STREAM, (job.entry, job.id), tried=False), "it is there"
        innocent = await queued(shard, b"innocent")
        assert [each.id for each in await taken(shard, "w3")] == [innocent]
        assert await shard.cancel(innocent) is JobState.RUNNING
    await abandoned(shard)
    assert await reclaimed(shard, "dies, too") is not None
    await abandoned(shard)
    assert await reclaimed(shard, "w4") is None
    assert [job.id for job in await shard.list(dead=True)] == [poison]


async def test_a_job_in_which_two_workers_hang_is_dead(shard: Shard) -> None:
    """Both are told to end, and give it back while they still compute it."""
    hangs = await queued(shard, b"hangs")
    [job] = await taken(shard, "w1")
    assert await shard.put_back("w1", STREAM, (job.entry, job.id), tried=True)
    assert await taken(shard, "w2") == [], "it comes alone only"
    await abandoned(shard)
    again = await reclaimed(shard, "w2")
    assert again is not None
    assert again.deliveries == 2
    assert await shard.put_back("w2", STREAM, (again.entry, again.id), tried=True)
    record = await shard.read(hangs)
    assert record is not None
    assert (record.state, record.delivery.count) == (JobState.DEAD, 2)
    assert (await shard.totals()).jobs == 0


async def test_a_worker_gives_back_only_what_it_has(shard: Shard) -> None:
    await queued(shard)
    [job] = await taken(shard, "stalled")
    await abandoned(shard)
    assert await reclaimed(shard, "w2") is not None
    assert not await shard.put_back("stalled", STREAM, (job.entry, job.id), tried=True)
    assert await shard.renew("w2", STREAM, [job.entry]) == frozenset()


async def test_a_read_whose_answer_was_lost_counts_for_nothing(shard: Shard) -> None:
    await queued(shard)
    await shard.open_stream(STREAM)
    await shard.connection.wait_for_entries(STREAM, "w1", count=1, wait_ms=100)
    for _ in range(4):
        await abandoned(shard)
        assert await shard.reclaim("w2", STREAM, VISIBILITY_MS) is not None
    await abandoned(shard)
    job = await reclaimed(shard, "w3")
    assert job is not None
    assert job.deliveries == 1
    [again] = (await shard.begin("w3", STREAM, [(job.entry, job.id)])).jobs
    assert again.deliveries == 1, "the same worker asks again"
    assert not (await shard.begin("w2", STREAM, [(job.entry, job.id)])).jobs, "it is another worker's"


async def test_a_dead_job_does_not_hold_up_others(shard: Shard) -> None:
    await queued(shard, b"poison")
    await taken(shard, "w1")
    await abandoned(shard)
    await reclaimed(shard, "w2")
    good = await queued(shard, b"good")
    await taken(shard, "w2")
    await abandoned(shard)
    job = await reclaimed(shard, "w3")
    assert job is not None
    assert job.id == good


async def test_a_dead_job_can_be_retried(shard: Shard) -> None:
    job_id = await queued(shard, b"poison")
    await taken(shard, "w1")
    await abandoned(shard)
    await reclaimed(shard, "w2")
    await abandoned(shard)
    await reclaimed(shard, "w3")
    assert await shard.retry(job_id, 60_000) is JobState.DEAD
    assert await shard.retry(job_id, 60_000) is JobState.QUEUED
    assert await shard.drop(job_id) is JobState.QUEUED
    [job] = await taken(shard, "w4")
    assert (job.id, job.request.body, job.deliveries) == (job_id, b"poison", 1)
    assert await shard.finish(job, STREAM, ANSWER)
    done = await shard.read(job_id)
    assert done is not None
    assert (done.state, done.reason) == (JobState.DONE, "")


async def test_a_dead_job_can_be_dropped(shard: Shard) -> None:
    job_id = await queued(shard, b"poison")
    for worker in ("w1", "w2", "w3"):
        await (taken(shard, worker) if worker == "w1" else reclaimed(shard, worker))
        await abandoned(shard)
    assert await shard.cancel(job_id) is JobState.DEAD
    assert await shard.totals() == Totals(0, 0)
    assert await shard.list(dead=True) == []


async def test_an_entry_that_a_hand_deleted_is_skipped(shard: Shard) -> None:
    """redis/redis#6199: Redis may still name an entry that is gone."""
    await queued(shard)
    good = await queued(shard, b"good")
    lost, _ = await taken(shard, "dies")
    await shard.connection.command("XDEL", shard.connection.prefix + STREAM, lost.entry)
    await abandoned(shard)
    job = await reclaimed(shard, "w2")
    assert job is not None
    assert job.id == good
    assert await reclaimed(shard, "w2") is None
    assert not await shard.has_abandoned(STREAM, VISIBILITY_MS * 100)


async def test_a_worker_leaves_only_without_jobs(shard: Shard) -> None:
    """Redis forgets what a removed consumer had: its jobs would be lost."""
    await queued(shard)
    [job] = await taken(shard, "leaves")
    assert not await shard.leave("leaves", STREAM)
    await shard.finish(job, STREAM, ANSWER)
    assert await shard.leave("leaves", STREAM)
    assert await shard.leave("leaves", STREAM)


@pytest.mark.process
async def test_memory_is_flat_after_many_jobs(shard: Shard) -> None:
    """safe-global/safe-decoder-service#329: acknowledged entries stayed, 200 MB of them."""
    for _ in range(20):
        for _ in range(100):
            await queued(shard, b"x" * 1000)
        for job in await taken(shard, count=100):
            await shard.finish(job, STREAM, ANSWER)
            await shard.cancel(job.id)
    prefix = shard.connection.prefix
    keys = await shard.connection.command("KEYS", prefix.replace("{", "\\{") + "*")
    assert {key.decode().removeprefix(prefix) for key in keys} == {
        *("counts", "shard", "streams", "totals", STREAM)
    }
    assert await shard.connection.command("XLEN", prefix + STREAM) == 0
    assert await shard.connection.command("MEMORY", "USAGE", prefix + STREAM) < 20_000
