"""A Redis for all tests of a process, and the jobs of a service of its own for each test."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.redis_server import RedisServer, redis_server, shard_of
from tfleet.jobs.shard import Shard

_services = itertools.count()


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def service() -> str:
    """A name that no other test has."""
    return f"test{next(_services)}"


@pytest.fixture
async def shard(redis: RedisServer, service: str) -> AsyncIterator[Shard]:
    async with shard_of(redis, service) as shard:
        yield shard
