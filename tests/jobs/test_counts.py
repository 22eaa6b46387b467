"""What Redis counts for metrics."""

from __future__ import annotations

from dataclasses import replace

from tests.support.jobs import LIMITS, STREAM, TARGET, echo, new_job, queued, submitted, taken
from tests.support.waiting import eventually
from tfleet.jobs.counts import ANSWER_BUCKETS_MS, Counted
from tfleet.jobs.job import JobLimits, JobTarget, JobTimes
from tfleet.jobs.shard import DEAD_AT, Shard


async def test_a_new_shard_has_counted_nothing(shard: Shard) -> None:
    stats = await shard.stats()
    assert (stats.waiting, stats.running, stats.dead, stats.bytes, stats.oldest_waiting_ms) == (0, 0, 0, 0, 0)
    assert set(stats.counts.values()) == {0}
    assert sum(stats.answer_times.buckets) == 0


async def test_jobs_of_all_versions_wait_or_run(shard: Shard) -> None:
    for target in (TARGET, TARGET, TARGET, JobTarget("flowers", "2")):
        await queued(shard, target=target)
    await taken(shard, count=2)
    stats = await shard.stats()
    assert (stats.waiting, stats.running) == (2, 2)
    assert stats.bytes == (await shard.totals()).bytes
    assert stats.counts[Counted.ACCEPTED] == 4


async def test_the_oldest_job_that_waits_grows_older(shard: Shard) -> None:
    await queued(shard)

    async def oldest_ms() -> int:
        return (await shard.stats()).oldest_waiting_ms

    await eventually(oldest_ms, wanted=lambda found: found >= 50)
    await taken(shard)
    assert await oldest_ms() == 0, "a worker has it"


async def test_each_end_of_a_job_is_counted(shard: Shard) -> None:
    for _ in range(3):
        await queued(shard)
    done, cancelled, late = await taken(shard)
    await shard.finish(done, STREAM, echo(done))
    await shard.finish(done, STREAM, echo(done))
    await shard.cancel(cancelled.id)
    await shard.put_back("w1", STREAM, (late.entry, late.id), tried=False)
    await queued(shard, times=JobTimes(timeout_ms=1, keep_ms=60_000))
    await eventually(shard.expire)
    counts = (await shard.stats()).counts
    ends = (Counted.DONE, Counted.CANCELLED, Counted.EXPIRED, Counted.PUT_BACK)
    assert [counts[each] for each in ends] == [1, 1, 1, 1]


async def test_a_refusal_and_a_repeated_key_are_no_new_job(shard: Shard) -> None:
    await submitted(shard, new_job(key="one"))
    await submitted(shard, new_job(key="one"))
    await submitted(shard, new_job(b"another"), JobLimits(1, LIMITS.max_bytes))
    counts = (await shard.stats()).counts
    assert (counts[Counted.ACCEPTED], counts[Counted.FULL]) == (1, 1)


async def test_redelivery_and_death_are_counted(shard: Shard) -> None:
    await queued(shard)
    await taken(shard)
    for number in range(1, DEAD_AT):
        worker = f"w{number + 1}"
        if found := await shard.reclaim(worker, STREAM, 0):
            await shard.begin(worker, STREAM, [found])
    stats = await shard.stats()
    assert stats.counts[Counted.ABANDONED] == DEAD_AT - 2
    assert (stats.counts[Counted.DEAD], stats.dead) == (1, 1)


async def test_the_time_to_an_answer_is_in_its_bucket(shard: Shard) -> None:
    job_id = await queued(shard)
    [job] = await taken(shard)
    # As if it had been accepted a minute and a half ago.
    key = f"{shard.connection.prefix}job:{job_id}"
    await shard.connection.command("HINCRBY", key, "submitted_ms", -90_000)
    await shard.finish(job, STREAM, echo(job))
    times = (await shard.stats()).answer_times
    assert 90_000 <= times.total_ms < 150_000
    assert times.buckets[ANSWER_BUCKETS_MS.index(300_000)] == 1
    assert sum(times.buckets) == 1


async def test_keys_of_somebody_else_hold_up_no_figures(shard: Shard) -> None:
    prefix = shard.connection.prefix
    await shard.connection.command("ZADD", f"{prefix}streams", 1, "none", 2, "odd")
    await shard.connection.command("SET", f"{prefix}odd", "text")
    await shard.connection.command("SET", f"{prefix}counts", "text")
    await queued(shard)
    stats = await shard.stats()
    assert (stats.waiting, set(stats.counts.values())) == (1, {0})


async def test_callbacks_are_counted_by_their_end(shard: Shard) -> None:
    for _ in range(2):
        await submitted(shard, replace(new_job(), callback="http://hooks.example.com/"))
    for job in await taken(shard):
        await shard.cancel(job.id)
    [(first, _), (second, _)] = await shard.take_callbacks(10, try_ms=60_000)
    await shard.end_callback(first, received=False)
    await shard.end_callback(second, received=True)
    await shard.end_callback(second, received=True)
    counts = (await shard.stats()).counts
    assert (counts[Counted.CALLBACK_FAILED], counts[Counted.CALLBACK_RECEIVED]) == (1, 1)
