"""Takes jobs in a thread of its own, with an event loop for the connections to Redis.

The thread lives while TensorFlow computes, so jobs are renewed however long a run takes.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections.abc import Sequence
from typing import Final

import structlog

from tfleet.jobs.connect import shards_of
from tfleet.jobs.redis_url import RedisUrl
from tfleet.worker.jobs.call import CallApplication
from tfleet.worker.jobs.job_metrics import JobMetrics
from tfleet.worker.jobs.lanes import Lanes
from tfleet.worker.jobs.refusals import Refusals
from tfleet.worker.jobs.running_jobs import ConsumerIdentity
from tfleet.worker.jobs.shard_consumer import ShardConsumer
from tfleet.worker.wsgi.admission_queue import AdmissionQueue

_JOIN_S: Final = 10.0
"""For Redis, on top of the time that jobs may take to their end."""


class JobConsumer:
    """Takes the jobs of one version of a model from all shards, from `start` to `close`."""

    def __init__(
        self,
        redis: Sequence[RedisUrl],
        service: str,
        identity: ConsumerIdentity,
        queue: AdmissionQueue,
        call: CallApplication,
    ) -> None:
        self._redis = redis
        self._service = service
        self._identity = identity
        self._queue = queue
        self._call = call
        self.metrics = JobMetrics([str(url) for url in redis])
        self._timeout_s = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="jobs")

    def __repr__(self) -> str:
        return f"<JobConsumer {self._identity.stream} {len(self._redis)} shards>"

    def start(self) -> None:
        """Begin to take jobs."""
        self._thread.start()
        self._started.wait()

    def close(self, timeout_s: float) -> None:
        """Take no more jobs, and wait up to `timeout_s` for those that were taken. No effect before `start`,
        and the second time.
        """
        loop, stop = self._loop, self._stop
        if loop is None or stop is None:
            return
        self._timeout_s = timeout_s
        with contextlib.suppress(RuntimeError):  # the loop has failed, or ended
            loop.call_soon_threadsafe(stop.set)
        self._thread.join(timeout_s + _JOIN_S)

    def _run(self) -> None:
        try:
            asyncio.run(self._take())
        except BaseException as error:
            structlog.get_logger().error("no more jobs are taken", exc_info=error)
        finally:
            self._started.set()

    async def _take(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._started.set()
        shards = shards_of(self._redis, self._service)
        rng = random.Random()  # noqa: S311 - spreads load, keeps no secret
        lanes = Lanes(lambda: self._queue.free_threads, len(shards), Refusals(self._loop.time, rng))
        self._queue.tell_of_free_threads(lanes.thread_freed)
        consumers = [
            ShardConsumer(shard, self._identity, lanes, self._call, counts)
            for shard, counts in zip(shards, self.metrics.shards, strict=True)
        ]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(task()) for consumer in consumers for task in consumer.tasks]
            await self._stop.wait()
            lanes.stop()
            await asyncio.gather(*(consumer.end(self._timeout_s) for consumer in consumers))
            for task in tasks:
                task.cancel()
        for consumer in consumers:
            await consumer.close()
