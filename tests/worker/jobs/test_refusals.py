"""A worker that refuses jobs takes fewer of them."""

from __future__ import annotations

import itertools
import random
import time
from typing import Any

import pytest

from tests.support.job_consumer import settled, worker
from tests.support.jobs import queued
from tests.support.redis_server import RedisServer
from tfleet.jobs.counts import Counted
from tfleet.jobs.job import JobState, JobTimes
from tfleet.jobs.shard import Shard
from tfleet.worker.jobs.refusals import Refusals


class Scene:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.refusals = Refusals(lambda: self.now_s, random.Random(1))

    def refused_in_a_row(self, seconds: float) -> int:
        """How many jobs a worker takes in so long, if it refuses all of them and takes the next at once."""
        end_s, taken = self.now_s + seconds, 0
        while self.now_s < end_s:
            taken += 1
            self.refusals.refused()
            self.now_s += max(self.refusals.pause_s, 0.0001)
        return taken


def test_refusals_in_a_row_are_few() -> None:
    scene = Scene()
    assert scene.refused_in_a_row(10) < 10
    assert scene.refused_in_a_row(600) <= 600 / 2.5 + 1, "the pause has a largest length"
    assert scene.refusals.trying


def test_a_computed_job_ends_the_series() -> None:
    scene = Scene()
    scene.refused_in_a_row(10)
    scene.refusals.computed()
    assert not scene.refusals.trying
    assert scene.refusals.refused()
    assert scene.refusals.pause_s <= 0.2


def test_refusals_at_once_are_one() -> None:
    scene = Scene()
    assert [scene.refusals.refused() for _ in range(24)] == [True] + [False] * 23
    assert scene.refusals.pause_s <= 0.2


@pytest.mark.process
async def test_a_job_that_is_refused_ends_at_its_deadline(
    redis: RedisServer, service: str, shard: Shard
) -> None:
    def refuse(body: bytes, environ: dict[str, Any]) -> tuple[int, bytes]:
        return 503, b"no memory"

    async with worker(redis, service, refuse):
        record = await settled(shard, await queued(shard, times=JobTimes(timeout_ms=2000, keep_ms=60_000)))
    assert (record.state, record.answer) == (JobState.EXPIRED, None)
    # At most five pauses of 0.1 s and more, and a read that was under way brings the job once more.
    assert 1 < (await shard.stats()).counts[Counted.PUT_BACK] <= 6


@pytest.mark.process
async def test_a_refused_job_is_computed_later(redis: RedisServer, service: str, shard: Shard) -> None:
    refusals, at_s = iter([503, 429, 503]), list[float]()

    def answer(body: bytes, environ: dict[str, Any]) -> tuple[int, bytes]:
        at_s.append(time.monotonic())
        return next(refusals, 200), body

    async with worker(redis, service, answer):
        record = await settled(shard, await queued(shard))
    assert record.answer is not None
    assert (record.answer.status, record.delivery.count) == (200, 1)
    # A read that was under way when the job was refused brings it once more.
    assert 3 <= (await shard.stats()).counts[Counted.PUT_BACK] <= 4
    pauses_s = [later - earlier for earlier, later in itertools.pairwise(at_s)]
    assert [pause_s >= least_s for pause_s, least_s in zip(pauses_s, (0.1, 0.2, 0.4), strict=True)] == [
        True
    ] * 3
