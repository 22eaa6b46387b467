"""Has costly jobs done by decoders, each of which does one at a time.

Decoders are started when they are needed, and end when they have had nothing to do for a while. A job that
may not go on costs its decoder its life: nothing else ends what goes on in there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from tfleet.worker.decoders.deadline import Began, Caller
from tfleet.worker.decoders.decoder import LOOK_EVERY_S, Decoder
from tfleet.worker.decoders.errors import (
    DecoderDiedError,
    DecoderError,
    DecoderKilledError,
    DecodersBusyError,
    Killed,
    NoDecoderError,
)
from tfleet.worker.decoders.limits import PoolLimits
from tfleet.worker.decoders.messages import DecodeJob, DecodeOutcome, DecoderProtocolError
from tfleet.worker.decoders.queue import JobQueue, QueuedJob

NICE: Final = 10
"""So that cheap images keep their share of the CPUs. Beside two decoders on a busy machine with 2 CPUs a
cheap image took 1.1 times as long as without them; at 5 it was 1.4 times, at 0 2.3 times."""
_IDLE_S: Final = 30.0
_START_TIMEOUT_S: Final = 30.0  # imports alone, but on a machine that may be busy
_STOPPING: Final = "the worker is stopping"


class DecoderPool:
    """Runs jobs in decoders, processes that `command` starts. Safe to use from any thread.

    The command gets further arguments, for `tfleet.worker.decoders.child.serve`. Times are seconds by
    `time.perf_counter`.
    """

    def __init__(
        self,
        command: Sequence[str],
        limits: PoolLimits,
        *,
        log: Any,
        nice: int = NICE,
        idle_s: float = _IDLE_S,
    ) -> None:
        self.limits = limits
        self._command = tuple(command)
        self._log = log
        self._nice = nice
        self._idle_s = idle_s
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._line = JobQueue(limits)
        self._turns: dict[QueuedJob, threading.Event] = {}
        self._places = 0
        self._decoders: set[Decoder] = set()
        self._idle: list[tuple[float, Decoder]] = []  # since when; the last one is used first
        self._keeper: threading.Thread | None = None
        self._killed = dict.fromkeys(Killed, 0)
        self._closed = False

    def __repr__(self) -> str:
        return f"<DecoderPool running={self.running} waiting={self.waiting} processes={len(self._decoders)}>"

    @property
    def running(self) -> int:
        """How many jobs are being done."""
        return len(self._line.running)

    @property
    def waiting(self) -> int:
        """How many jobs wait for their turn."""
        return len(self._line.waiting)

    @property
    def killed(self) -> Mapping[Killed, int]:
        """How many decoders ended before their time, by reason."""
        return dict(self._killed)

    def run(
        self, job: DecodeJob, *, arrived_s: float, deadline_s: float, gone: Callable[[], bool]
    ) -> DecodeOutcome:
        """Have a job done, and return when it is. `gone` is asked about every 50 ms.

        `arrived_s` is when its request came: from then on it is to have an answer within the limit.

        Raises the subclasses of DecoderError.
        """
        caller = Caller(deadline_s, gone, busy_s=arrived_s + self.limits.answer_within_s)
        self._check(caller)
        place, turn = self._enter(job)
        try:
            while not turn.wait(LOOK_EVERY_S):
                self._check(caller)
            return self._decode(job, caller)
        finally:
            self._leave(place)

    def close(self) -> None:
        """Kill all decoders. Whoever still waits for one gets NoDecoderError."""
        with self._lock:
            self._closed = True
            decoders, idle, self._idle = list(self._decoders), self._idle, []
            keeper = self._keeper
            self._changed.notify_all()
        for decoder in decoders:
            decoder.kill()
        for _, decoder in idle:
            self._end(decoder)
        for decoder in decoders:
            decoder.wait()
        if keeper is not None:
            keeper.join()

    def _check(self, caller: Caller) -> None:
        if self._closed:
            raise NoDecoderError(_STOPPING)
        if why := caller.why_end(time.perf_counter()):
            raise why

    def _enter(self, job: DecodeJob) -> tuple[QueuedJob, threading.Event]:
        with self._lock:
            self._places += 1
            place, turn = QueuedJob(self._places, job.memory_bytes, job.cpu_s), threading.Event()
            line = self._line.enter(place)
            if line is None:
                raise DecodersBusyError(f"{self.waiting} images wait for a decoder, as many as may")
            self._turns[place] = turn
            self._move(line)
        return place, turn

    def _leave(self, place: QueuedJob) -> None:
        with self._lock:
            del self._turns[place]
            self._move(self._line.leave(place))

    def _move(self, line: JobQueue) -> None:
        self._line = line
        for place in line.running:
            self._turns[place].set()

    def _decode(self, job: DecodeJob, caller: Caller) -> DecodeOutcome:
        decoder = self._take()
        try:
            outcome = self._ask(decoder, job, caller)
        except (DecoderError, DecoderProtocolError, EOFError, OSError) as error:
            raise self._lost(decoder, error) from error
        except BaseException:
            self._end(decoder)
            raise
        if outcome.header.get("error") == "MemoryError":
            # It has been as large as it may be, and what it still holds would be missing for the next job.
            self._end(decoder)
            self._count(Killed.MEMORY)
        else:
            self._keep(decoder)
        return outcome

    def _ask(self, decoder: Decoder, job: DecodeJob, caller: Caller) -> DecodeOutcome:
        start_by_s = time.perf_counter() + _START_TIMEOUT_S

        def look_at_start() -> None:
            decoder.listen()
            self._check(caller)
            if time.perf_counter() >= start_by_s:
                raise NoDecoderError(f"a decoder was not ready within {_START_TIMEOUT_S:g} s")

        decoder.wait_ready(look_at_start)
        began = Began(decoder.cpu_s)

        def look() -> None:
            decoder.listen()
            self._check(caller)
            if why := began.why_end(decoder.cpu_s, self.limits):
                raise why

        return decoder.ask(job, self.limits.answer_bytes, look)

    def _take(self) -> Decoder:
        """One that has nothing to do, or a new one. Raises NoDecoderError."""
        while True:
            with self._lock:
                decoder = self._idle.pop()[1] if self._idle else None
            if decoder is None:
                return self._start()
            if decoder.alive:
                return decoder
            self._lost(decoder, EOFError())

    def _start(self) -> Decoder:
        try:
            decoder = Decoder(
                self._command, address_space_bytes=self.limits.address_space_bytes, nice=self._nice
            )
        except OSError as error:
            self._log.warning("no decoder could be started", error=str(error))
            raise NoDecoderError("no decoder could be started") from error
        with self._lock:
            self._decoders.add(decoder)
            closed = self._closed
        if closed:
            self._end(decoder)
            raise NoDecoderError(_STOPPING)
        return decoder

    def _lost(self, decoder: Decoder, error: Exception) -> DecoderError:
        """End one that may not go on, or has ended. What its job's caller is told."""
        cpu_s = decoder.cpu_s
        how, words = self._end(decoder)
        if self._closed:
            return NoDecoderError(_STOPPING)
        reason = Killed.of(error)
        self._count(reason)
        if reason is not Killed.DIED:
            self._log.info("decoder killed", reason=reason, pid=decoder.pid, cpu_s=cpu_s)
        elif isinstance(error, EOFError | ConnectionError):
            self._log.warning("decoder died", how=how, pid=decoder.pid, stderr=words)
            error = self._death(decoder, how)
        else:
            self._log.warning(
                "decoder killed", reason=reason, pid=decoder.pid, error=str(error), stderr=words
            )
        if isinstance(error, DecoderError):
            return error
        return DecoderDiedError("the decoder of this image did not answer as it should")

    @staticmethod
    def _death(decoder: Decoder, how: str) -> DecoderError:
        if not decoder.ready:
            return NoDecoderError("no decoder could be started")
        if decoder.killed:
            return DecoderKilledError(f"its decoder was killed ({how})")
        return DecoderDiedError(f"the decoder of this image ended ({how})")

    def _end(self, decoder: Decoder) -> tuple[str, str]:
        ended = decoder.end()
        with self._lock:
            self._decoders.discard(decoder)
        return ended

    def _count(self, reason: Killed) -> None:
        with self._lock:
            self._killed[reason] += 1

    def _keep(self, decoder: Decoder) -> None:
        """Let one wait for its next job."""
        with self._lock:
            closed = self._closed
            if not closed:
                self._idle.append((time.perf_counter(), decoder))
                if self._keeper is None:
                    keeper = threading.Thread(target=self._end_idle, name="decoders", daemon=True)
                    keeper.start()
                    self._keeper = keeper
        if closed:
            self._end(decoder)

    def _end_idle(self) -> None:
        """End those that have had nothing to do for too long, until none is left that waits."""
        while True:
            with self._lock:
                if not self._idle or self._closed:
                    self._keeper = None
                    return
                since_s, decoder = self._idle[0]
                left_s = since_s + self._idle_s - time.perf_counter()
                if left_s > 0:
                    self._changed.wait(left_s)
                    continue
                del self._idle[0]
            self._end(decoder)
