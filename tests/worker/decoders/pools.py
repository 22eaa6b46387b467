"""Pools whose decoders are the program of the tests, and callers that wait for them."""

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from tests.support.waiting import eventually_sync
from tfleet.worker.decoders import DecodeJob, DecodeOutcome, DecoderPool, PoolLimits

MIB = 1024 * 1024
LIMITS = PoolLimits(processes=1, max_waiting=2, decode_timeout_s=30)


class Log:
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def info(self, event: str, **details: Any) -> None:
        self.lines.append({"event": event, "level": "info", **details})

    def warning(self, event: str, **details: Any) -> None:
        self.lines.append({"event": event, "level": "warning", **details})


class Scene:
    """One pool, and those who call it, each in a thread of its own."""

    def __init__(self, folder: Path, limits: PoolLimits, command: Sequence[str], **options: Any) -> None:
        self.log = Log()
        self.pool = DecoderPool(command, limits, log=self.log, **options)
        self._folder = folder
        self._threads: list[threading.Thread] = []

    def run(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        body: bytes = b"",
        *,
        memory_bytes: int = 1,
        deadline_s: float = math.inf,
        waited_s: float = 0.0,
        gone: Callable[[], bool] = lambda: False,
    ) -> DecodeOutcome:
        """`deadline_s` is from now, and `waited_s` before it."""
        job = DecodeJob(name, arguments or {}, body, memory_bytes)
        now_s = time.perf_counter()
        return self.pool.run(job, arrived_s=now_s - waited_s, deadline_s=now_s + deadline_s, gone=gone)

    def begin(self, *arguments: Any, **options: Any) -> "Future[DecodeOutcome]":
        """The same in a thread."""
        future: Future[DecodeOutcome] = Future()

        def call() -> None:
            try:
                future.set_result(self.run(*arguments, **options))
            except BaseException as error:
                future.set_exception(error)

        self._threads.append(threading.Thread(target=call, name="caller"))
        self._threads[-1].start()
        return future

    def begin_long(self, name: str = "sleep", **options: Any) -> "tuple[Future[DecodeOutcome], int]":
        """One that goes on until it is ended, and the process that has begun it."""
        started = self._folder / f"started-{len(self._threads)}"
        future = self.begin(name, {"started": str(started)}, **options)

        def look() -> str:
            assert not future.done(), future
            return started.read_text() if started.exists() else ""

        return future, int(eventually_sync(look))

    def wait_for(self, *, running: int, waiting: int) -> None:
        eventually_sync(lambda: (self.pool.running, self.pool.waiting), wanted=(running, waiting).__eq__)

    def close(self) -> None:
        self.pool.close()
        for thread in self._threads:
            thread.join()
        assert (self.pool.running, self.pool.waiting) == (0, 0)


Make = Callable[..., Scene]


def ended(pid: int) -> bool:
    """Whether a process has ended, with all of its threads. Nobody need have waited for it."""
    folder = Path(f"/proc/{pid}")
    try:
        state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
        return state == "Z" and len(list((folder / "task").iterdir())) == 1
    except OSError:
        return True
