"""A worker's jobs without a model: a WSGI application, its threads, and the consumer that takes jobs for it.

As a program it is a worker process that can be killed:
    python -m tests.support.job_consumer REDIS_URL SERVICE NAME VISIBILITY_S
It answers with the SHA-256 of the body. A body that is `poison` kills it, `hang` is never answered, and
`slow` takes a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from typing import Any

from tests.support.jobs import STREAM
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually
from tfleet.jobs.connect import require_redis_library
from tfleet.jobs.job import JobRecord
from tfleet.jobs.redis_url import RedisUrl, read_redis_urls
from tfleet.jobs.shard import Shard
from tfleet.worker.jobs.consumer import JobConsumer
from tfleet.worker.jobs.running_jobs import ConsumerIdentity
from tfleet.worker.wsgi.incoming_body import BodyLimits
from tfleet.worker.wsgi.response import Application
from tfleet.worker.wsgi.server import WsgiServer

VISIBILITY_S = 0.5
Answer = Callable[[bytes, dict[str, Any]], tuple[int, bytes]]
"""Takes a body and the environ."""


def application(answer: Answer) -> Application:
    """A WSGI application that answers with status and body."""

    def call(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        status, body = answer(environ["wsgi.input"].read(), environ)
        start_response(f"{status} x", [("Content-Type", "text/plain"), ("X-Worker", "w1")])
        return [body]

    return call


@contextlib.contextmanager
def consuming(
    redis: Sequence[RedisUrl],
    service: str,
    answer: Answer,
    *,
    worker: str = "w1",
    threads: int = 4,
    visibility_s: float = 30.0,
    drain_s: float = 5.0,
) -> Iterator[WsgiServer]:
    """It takes jobs inside the block, and drains after it."""
    server = WsgiServer(host="127.0.0.1", port=0, threads=threads, body_limits=BodyLimits(1_000_000))
    server.start(application(answer))
    identity = ConsumerIdentity(worker, STREAM, visibility_s)
    consumer = JobConsumer(redis, service, identity, server.queue, server.call_application)
    consumer.start()
    try:
        yield server
    finally:
        consumer.close(drain_s)
        server.close(timeout_s=1)


@contextlib.asynccontextmanager
async def worker(
    redis: RedisServer | Sequence[RedisServer], service: str, answer: Answer, **options: Any
) -> AsyncIterator[WsgiServer]:
    """The same for an event loop. It starts and ends in a thread: both wait for other threads."""
    servers = [redis] if isinstance(redis, RedisServer) else redis
    block = consuming([server.url for server in servers], service, answer, **options)
    server = await asyncio.to_thread(block.__enter__)
    try:
        yield server
    finally:
        await asyncio.to_thread(block.__exit__, None, None, None)


async def settled(shard: Shard, job_id: str) -> JobRecord:
    """The job as soon as it is not open any more."""

    async def look() -> JobRecord | None:
        return await shard.read(job_id)

    record = await eventually(look, wanted=lambda found: found is not None and not found.state.is_open)
    assert record is not None
    return record


def echo(body: bytes, environ: dict[str, Any]) -> tuple[int, bytes]:
    """Answers with the body."""
    return 200, body


def hashed(body: bytes, environ: dict[str, Any]) -> tuple[int, bytes]:
    """What the program answers."""
    if body == b"poison":
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep({b"hang": 600, b"slow": 0.3}.get(body, 0.002))
    return 200, hashlib.sha256(body).hexdigest().encode()


def main(urls: str, service: str, name: str, visibility_s: str) -> None:
    require_redis_library()
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda signum, frame: ended.set())
    with consuming(
        read_redis_urls(urls),
        service,
        hashed,
        worker=f"{name}-{os.getpid()}",
        visibility_s=float(visibility_s),
    ):
        while not ended.wait(0.2):
            pass


if __name__ == "__main__":
    main(*sys.argv[1:])
