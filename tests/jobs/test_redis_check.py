"""What is checked of a Redis before it holds jobs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.redis_server import DURABLE, redis_server, shard_of
from tfleet.jobs.errors import UnsuitableRedisError
from tfleet.jobs.redis_check import check_redis, read_info, risks


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (DURABLE, []),
        ((), ["appendonly"]),
        (("--maxmemory", "10mb", "--maxmemory-policy", "allkeys-lru"), ["appendonly", "noeviction"]),
        (("--maxmemory-policy", "allkeys-lru", "--appendonly", "yes"), []),
    ],
)
@pytest.mark.process
async def test_risks_of_a_real_redis(tmp_path: Path, options: tuple[str, ...], found: list[str]) -> None:
    with redis_server(tmp_path, *options) as server:
        async with shard_of(server) as shard:
            info = read_info(await shard.connection.command("INFO"))
    check_redis(info, "it")
    lines = risks(info)
    assert len(lines) == len(found)
    assert all(word in line for word, line in zip(found, lines, strict=True))


@pytest.mark.parametrize("version", ["6.2.14", "5.0", "", "x"])
def test_an_old_redis_is_refused(version: str) -> None:
    with pytest.raises(UnsuitableRedisError, match=r"7\.0 or later"):
        check_redis({"redis_version": version}, "redis://host")


@pytest.mark.parametrize("version", ["7.0.15", "7.2.4", "8.0", "10.1.0"])
def test_a_new_redis_is_fine(version: str) -> None:
    check_redis({"redis_version": version}, "redis://host")
