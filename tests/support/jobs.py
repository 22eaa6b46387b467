"""Jobs for tests: submitting and taking them with as few words as possible."""

from tfleet.jobs.job import JobLimits, JobRequest, JobTarget, JobTimes, NewJob, TakenJob
from tfleet.jobs.job_id import new_job_id
from tfleet.jobs.shard import Shard, Submitted

LIMITS = JobLimits(max_jobs=1000, max_bytes=10_000_000)
TARGET = JobTarget("flowers", "1")
STREAM = TARGET.stream
SECONDS = JobTimes(timeout_ms=60_000, keep_ms=60_000)
NOW_MS = 1_800_000_000_000


def new_job(
    body: bytes = b"{}", *, key: str = "", times: JobTimes = SECONDS, target: JobTarget = TARGET
) -> NewJob:
    headers = {"Content-Type": "application/json"}
    return NewJob(JobRequest("/predict", headers, body), target, times, key)


async def submitted(shard: Shard, job: NewJob, limits: JobLimits = LIMITS) -> Submitted:
    """Under a new id."""
    return await shard.submit(new_job_id(await shard.identity(), NOW_MS), job, limits)


async def queued(
    shard: Shard, body: bytes = b"{}", *, times: JobTimes = SECONDS, target: JobTarget = TARGET
) -> str:
    """The id of a job that was accepted."""
    found = await submitted(shard, new_job(body, times=times, target=target))
    assert found.outcome == "accepted"
    return found.id


async def taken(shard: Shard, worker: str = "w1", count: int = 10) -> list[TakenJob]:
    """What a worker gets at once, or soon."""
    await shard.open_stream(STREAM)
    entries = await shard.connection.wait_for_entries(STREAM, worker, count=count, wait_ms=100)
    return await shard.begin(worker, STREAM, entries)
