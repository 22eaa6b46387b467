"""The life of a job in one Redis: each change is one script."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.jobs import LIMITS, NOW_MS, STREAM, new_job, queued, submitted, taken
from tfleet.jobs.job import OVERHEAD_BYTES, JobAnswer, JobLimits, JobState, JobTimes
from tfleet.jobs.job_id import new_job_id
from tfleet.jobs.scripts import script
from tfleet.jobs.shard import Shard, Totals

ANSWER = JobAnswer(200, {"Content-Type": "application/json"}, b'{"success": true}')
LAPSED = JobTimes(timeout_ms=1, keep_ms=60_000)


async def test_a_job_is_submitted_taken_and_finished(shard: Shard) -> None:
    job_id = await queued(shard, b"body \x00\xff")
    [job] = await taken(shard)
    assert (job.id, job.request.body, job.deliveries) == (job_id, b"body \x00\xff", 1)
    assert job.request.headers == {"Content-Type": "application/json"}
    assert 59_000 < job.left_ms <= 60_000
    running = await shard.read(job_id)
    assert running is not None
    assert (running.state, running.delivery.worker) == (JobState.RUNNING, "w1")
    assert await shard.finish(job, STREAM, ANSWER)
    done = await shard.read(job_id)
    assert done is not None
    assert (done.state, done.answer) == (JobState.DONE, ANSWER)


async def test_a_second_answer_is_dropped(shard: Shard) -> None:
    job_id = await queued(shard)
    [job] = await taken(shard)
    assert await shard.finish(job, STREAM, ANSWER)
    assert not await shard.finish(job, STREAM, JobAnswer(200, {}, b"other"))
    done = await shard.read(job_id)
    assert done is not None
    assert done.answer == ANSWER


async def test_two_workers_never_get_the_same_job(shard: Shard) -> None:
    ids = {await queued(shard) for _ in range(100)}
    pairs = await asyncio.gather(*(taken(shard, f"w{number}", 5) for number in range(20)))
    got = [job.id for jobs in pairs for job in jobs]
    assert len(got) == len(ids)
    assert set(got) == ids


async def test_a_submission_sent_twice_is_one_job(shard: Shard) -> None:
    job_id = new_job_id(await shard.identity(), NOW_MS)
    first = await shard.submit(job_id, new_job(), LIMITS)
    assert await shard.submit(job_id, new_job(), LIMITS) == first
    assert (await shard.totals()).jobs == 1
    assert len(await taken(shard)) == 1


async def test_one_key_and_body_are_one_job(shard: Shard) -> None:
    first = await submitted(shard, new_job(b"1", key="k"))
    again = await submitted(shard, new_job(b"1", key="k"))
    assert (first.outcome, again.outcome, again.id) == ("accepted", "same", first.id)
    other = await submitted(shard, new_job(b"2", key="k"))
    assert (other.outcome, other.id) == ("differs", first.id)
    assert (await shard.totals()).jobs == 1


async def test_a_key_is_free_when_its_job_is_forgotten(shard: Shard) -> None:
    first = await submitted(shard, new_job(b"1", key="k"))
    await shard.cancel(first.id)
    assert (await submitted(shard, new_job(b"1", key="k"))).outcome == "same"
    await shard.cancel(first.id)
    assert (await submitted(shard, new_job(b"2", key="k"))).outcome == "accepted"


async def test_too_many_jobs_are_refused(shard: Shard) -> None:
    few = JobLimits(max_jobs=2, max_bytes=10_000_000)
    outcomes = [(await submitted(shard, new_job(), few)).outcome for _ in range(3)]
    assert outcomes == ["accepted", "accepted", "full"]
    [first, _] = await taken(shard)
    await shard.finish(first, STREAM, ANSWER)
    assert (await submitted(shard, new_job(), few)).outcome == "accepted"


async def test_too_many_bytes_are_refused(shard: Shard) -> None:
    small = JobLimits(max_jobs=1000, max_bytes=3 * OVERHEAD_BYTES)
    assert (await submitted(shard, new_job(b"x" * 2 * OVERHEAD_BYTES), small)).outcome == "accepted"
    assert (await submitted(shard, new_job(b"x"), small)).outcome == "full"


async def test_bytes_count_what_is_kept(shard: Shard) -> None:
    job_id = await queued(shard, b"x" * 5000)
    assert await shard.totals() == Totals(1, 5000 + OVERHEAD_BYTES)
    [job] = await taken(shard)
    await shard.finish(job, STREAM, JobAnswer(200, {}, b"12345"))
    assert await shard.totals() == Totals(0, 5 + OVERHEAD_BYTES)
    await shard.cancel(job_id)
    assert await shard.totals() == Totals(0, 0)


async def test_recounting_finds_what_a_hand_has_changed(shard: Shard) -> None:
    await queued(shard, b"x" * 100)
    right = await shard.totals()
    assert await shard.recount() == right
    await shard.connection.command("DEL", f"{shard.connection.prefix}totals")
    assert await shard.recount() == right


async def test_a_job_past_its_deadline_is_not_computed(shard: Shard) -> None:
    job_id = await queued(shard, times=LAPSED)
    await asyncio.sleep(0.01)
    assert await taken(shard) == []
    job = await shard.read(job_id)
    assert job is not None
    assert job.state is JobState.EXPIRED


async def test_deadlines_pass_without_any_worker(shard: Shard) -> None:
    job_id = await queued(shard, times=LAPSED)
    await asyncio.sleep(0.01)
    assert await shard.expire() == 1
    job = await shard.read(job_id)
    assert job is not None
    assert job.state is JobState.EXPIRED
    assert await taken(shard) == []


async def test_answers_are_forgotten_in_time(shard: Shard) -> None:
    job_id = await queued(shard, times=JobTimes(60_000, keep_ms=1))
    [job] = await taken(shard)
    await shard.finish(job, STREAM, ANSWER)
    await asyncio.sleep(0.01)
    assert await shard.expire() == 1
    assert await shard.read(job_id) is None
    assert await shard.totals() == Totals(0, 0)


async def test_a_cancelled_job_is_not_delivered(shard: Shard) -> None:
    job_id = await queued(shard)
    assert await shard.cancel(job_id) is JobState.QUEUED
    assert await taken(shard) == []
    job = await shard.read(job_id)
    assert job is not None
    assert job.state is JobState.CANCELLED


async def test_the_answer_of_a_cancelled_job_is_dropped(shard: Shard) -> None:
    job_id = await queued(shard)
    [job] = await taken(shard)
    assert await shard.cancel(job_id) is JobState.RUNNING
    assert not await shard.finish(job, STREAM, ANSWER)
    assert await shard.cancel(job_id) is JobState.CANCELLED
    assert await shard.cancel(job_id) is None


async def test_a_job_that_is_put_back_comes_again(shard: Shard) -> None:
    job_id = await queued(shard)
    [job] = await taken(shard)
    assert await shard.put_back("w1", STREAM, (job.entry, job.id), tried=False)
    [again] = await taken(shard, "w2")
    assert (again.id, again.deliveries) == (job_id, 1)
    assert not await shard.finish(job, STREAM, ANSWER), "the first worker has it no more"
    assert await shard.finish(again, STREAM, ANSWER)


async def test_bodies_are_given_by_bytes(shard: Shard) -> None:
    ids = [await queued(shard, bytes(100)) for _ in range(4)]
    await shard.open_stream(STREAM)
    entries = await shard.connection.wait_for_entries(STREAM, "w1", count=10, wait_ms=100)
    first = await shard.begin("w1", STREAM, entries, most_bytes=250)
    assert ([job.id for job in first.jobs], first.handled) == (ids[:2], 2)
    assert await shard.cancel(ids[2]) is JobState.QUEUED
    rest = await shard.begin("w1", STREAM, entries[first.handled :], most_bytes=1)
    assert ([job.id for job in rest.jobs], rest.handled) == (ids[3:], 2), "one at least"


async def test_a_shard_keeps_its_name_and_secret(shard: Shard) -> None:
    found = await asyncio.gather(*(shard.identity() for _ in range(20)))
    assert len(set(found)) == 1


async def test_scripts_survive_a_flush_of_the_script_cache(shard: Shard) -> None:
    await shard.connection.command("SCRIPT", "FLUSH")
    assert await queued(shard)


@pytest.mark.parametrize("name", ["open", "dead"])
async def test_jobs_are_listed(shard: Shard, name: str) -> None:
    ids = [await queued(shard) for _ in range(3)]
    listed = await shard.list(dead=name == "dead")
    assert {job.id for job in listed} == (set(ids) if name == "open" else set())


def test_the_scripts_count_the_overhead_that_we_count() -> None:
    assert f"local OVERHEAD = {OVERHEAD_BYTES}\n" in script.__dict__["_COMMON"]
