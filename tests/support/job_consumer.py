"""A worker's jobs without a model: a WSGI application, its threads, and the consumer that takes jobs for it.

As a program it is a worker process that can be killed:
    python -m tests.support.job_consumer REDIS_URL SERVICE NAME VISIBILITY_S
It answers with the SHA-256 of the body. A body that is `poison` kills it, and `hang` is never answered.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from tests.support.jobs import STREAM
from tfleet.jobs.connect import require_redis_library
from tfleet.jobs.redis_url import RedisUrl, read_redis_urls
from tfleet.worker.jobs.consumer import JobConsumer
from tfleet.worker.jobs.shard_consumer import ConsumerIdentity
from tfleet.worker.wsgi.incoming_body import BodyLimits
from tfleet.worker.wsgi.response import Application
from tfleet.worker.wsgi.server import WsgiServer

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
    consumer = JobConsumer(
        redis, service, identity, lambda: server.queue.free_threads, server.call_application
    )
    consumer.start()
    try:
        yield server
    finally:
        consumer.close(drain_s)
        server.close(timeout_s=1)


def hashed(body: bytes, environ: dict[str, Any]) -> tuple[int, bytes]:
    """What the program answers."""
    if body == b"poison":
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(600 if body == b"hang" else 0.002)
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
