"""What is measured: a Redis, a proxy and workers with a small model, and processes of the usual list."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.load.form import Form
from benchmarks.report.server_process import Server, server
from benchmarks.rollout.registries import EMBEDDED, registry
from benchmarks.tables.model import save
from tests.support.canned_server import nobody
from tests.support.redis_server import PROGRAM, RedisServer
from tfleet.contract.address import Address
from tfleet.jobs.connect import require_redis_library

_REDIS = ("--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction")


@dataclass(frozen=True, slots=True)
class Stage:
    """Where its parts listen. One worker is ready. `shared` are the options of all of tfleet's processes."""

    proxy: str
    worker: str
    redis: str
    model: Path
    row: Form
    shared: tuple[str, ...]

    @contextlib.contextmanager
    def second_worker(self) -> Iterator[None]:
        """Another worker inside the block."""
        with _worker("second worker", nobody().port, self.model, self.shared) as running:
            running.ready(self.row)
            yield

    @contextlib.contextmanager
    def usual_consumer(self) -> Iterator[Server]:
        """A process that takes the images of the usual list."""
        with server("usual list", "", "benchmarks.jobs.usual_list", (self.redis, self.worker)) as running:
            yield running


@contextlib.contextmanager
def stage(folder: Path, row: Form) -> Iterator[Stage]:
    """All of it, inside the block."""
    if PROGRAM is None:
        raise SystemExit("this needs a Redis: apt-get install redis-server")
    require_redis_library()
    model, redis = save(folder), RedisServer(folder, _REDIS)
    redis.start()
    with contextlib.ExitStack() as stack:
        stack.callback(redis.stop)
        listed = stack.enter_context(registry(EMBEDDED))
        ports, shared = [nobody().port for _ in range(2)], _shared(listed, redis)
        worker = stack.enter_context(_worker("worker", ports[0], model, shared))
        limits = ("--max-jobs", "1000000", "--max-jobs-bytes", str(2**30))
        url = f"http://127.0.0.1:{ports[1]}"
        arguments = ("proxy", "--port", str(ports[1]), *shared, *limits)
        proxy = stack.enter_context(server("proxy", f"{url}/predict", "tfleet", arguments))
        for each in (worker, proxy):
            each.ready(row)
        yield Stage(url, f"http://127.0.0.1:{ports[0]}", redis.url.text, model, row, shared)


def _worker(
    name: str, port: int, model: Path, shared: tuple[str, ...]
) -> contextlib.AbstractContextManager[Server]:
    arguments = ("worker", "--model", str(model), "--port", str(port), *shared)
    return server(name, f"http://127.0.0.1:{port}/predict", "tfleet", arguments)


def _shared(listed: Address, redis: RedisServer) -> tuple[str, ...]:
    return ("--registry", f"consul://{listed}", "--log-level", "error", "--jobs", redis.url.text)
