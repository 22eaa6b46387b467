"""What is left of workers and versions that are gone is removed, and nothing else."""

from __future__ import annotations

from tests.support.jobs import STREAM, answered, queued, taken
from tfleet.jobs.job import JobTarget
from tfleet.jobs.shard import IDLE_MS, Shard


async def consumers(shard: Shard) -> set[str]:
    found = await shard.connection.command("XINFO", "CONSUMERS", shard.connection.prefix + STREAM, "workers")
    return {about[1].decode() for about in found}


async def used_bytes(shard: Shard) -> int:
    """What the keys of this service take."""
    pattern = shard.connection.prefix.replace("{", "\\{") + "*"
    keys = await shard.connection.command("KEYS", pattern)
    return sum([await shard.connection.command("MEMORY", "USAGE", key, "SAMPLES", 0) for key in keys])


async def test_workers_without_jobs_are_forgotten(shard: Shard) -> None:
    for number in range(20):
        await queued(shard)
        await answered(shard, f"gone-{number}")
    await queued(shard)
    [job] = await taken(shard, "busy")
    await shard.tidy()
    assert len(await consumers(shard)) == 21, "they were here a moment ago"
    await shard.tidy(0)
    assert await consumers(shard) == {"busy"}
    assert await shard.renew("busy", STREAM, [job.entry]) == frozenset()


async def test_a_forgotten_worker_takes_jobs_again(shard: Shard) -> None:
    await queued(shard)
    await answered(shard, "w1")
    await shard.tidy(0)
    assert not await shard.has_abandoned(STREAM, 0), "the stream is gone"
    await queued(shard)
    assert await answered(shard, "w1")


async def test_streams_of_versions_that_are_gone_are_removed(shard: Shard) -> None:
    targets = [JobTarget("flowers", str(number)) for number in range(50)]
    await queued(shard)
    await answered(shard)
    before = await used_bytes(shard)
    for target in targets:
        await shard.open_stream(target.stream)
    waits = await queued(shard, target=JobTarget("flowers", "7"))
    await shard.tidy(IDLE_MS)
    await shard.tidy(0)
    prefix, command = shard.connection.prefix, shard.connection.command
    left = [target.stream for target in targets if await command("EXISTS", prefix + target.stream)]
    assert left == ["stream:flowers/7"], "its job may still get a worker"
    await shard.cancel(waits)
    await shard.cancel(waits)
    await shard.tidy(0)
    assert await used_bytes(shard) <= before
    assert await command("ZCARD", f"{prefix}streams") == 0
