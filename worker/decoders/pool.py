"""Run costly jobs in decoder processes, one job at a time in each.

Decoders are started on demand and end after a while without jobs. To stop a job its decoder is killed:
nothing else can stop a library in the middle of decoding.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from tfleet.worker.decoders.deadline import CpuBudget, WaitingRequest
from tfleet.worker.decoders.decoder import POLL_INTERVAL_S, Decoder
from tfleet.worker.decoders.errors import (
    DecoderDiedError,
    DecoderError,
    DecoderKilledError,
    DecodersBusyError,
    KillReason,
    NoDecoderError,
)
from tfleet.worker.decoders.limits import PoolLimits
from tfleet.worker.decoders.messages import DecodeJob, DecodeOutcome, DecoderProtocolError
from tfleet.worker.decoders.queue import JobQueue, QueuedJob

NICE: Final = 10
"""The decoders' nice value, so that cheap images keep their share of the CPUs. Beside two decoders on a
busy machine with 2 CPUs a cheap image took 1.1 times as long as without them; with nice 5 1.4 times, with
0 2.3 times."""
_IDLE_S: Final = 30.0
_START_TIMEOUT_S: Final = 30.0  # a decoder only imports libraries, but the machine may be busy
_STOPPING: Final = "the worker is stopping"


class DecoderPool:
    """Runs jobs in decoder processes that `command` starts. Safe to use from any thread.

    The pool appends arguments to the command, for `tfleet.worker.decoders.child.serve`. Times are seconds by
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
        self._queue = JobQueue(limits)
        self._may_run: dict[QueuedJob, threading.Event] = {}
        self._last_number = 0
        self._decoders: set[Decoder] = set()
        # Idle since when. The last one is used first, so that a quiet pool shrinks to what it needs.
        self._idle: list[tuple[float, Decoder]] = []
        self._idle_thread: threading.Thread | None = None
        self._killed = dict.fromkeys(KillReason, 0)
        self._closed = False

    def __repr__(self) -> str:
        return f"<DecoderPool running={self.running} waiting={self.waiting} processes={len(self._decoders)}>"

    @property
    def running(self) -> int:
        """How many jobs run."""
        return len(self._queue.running)

    @property
    def waiting(self) -> int:
        """How many jobs wait for a decoder."""
        return len(self._queue.waiting)

    @property
    def killed(self) -> Mapping[KillReason, int]:
        """How many decoders were killed or died, by reason."""
        return dict(self._killed)

    def run(
        self, job: DecodeJob, *, arrived_s: float, deadline_s: float, gone: Callable[[], bool]
    ) -> DecodeOutcome:
        """Run a job and return its outcome. `gone` is called about every 50 ms.

        `arrived_s` is when the request arrived, or when the turn of one of its several images came; the limit
        `answer_within_s` counts from there. Raises subclasses of DecoderError.
        """
        caller = WaitingRequest(deadline_s, gone, busy_s=arrived_s + self.limits.answer_within_s)
        self._check(caller)
        queued, may_run = self._enter(job)
        try:
            # Polling, because nothing else notices that the client has gone while its job waits.
            while not may_run.wait(POLL_INTERVAL_S):
                self._check(caller)
            return self._decode(job, caller)
        finally:
            # Also after an error: the job must leave the queue, whether it ran or waited.
            self._leave(queued)

    def close(self) -> None:
        """Kill all decoders. Jobs that run or wait fail with NoDecoderError."""
        with self._lock:
            self._closed = True
            decoders, idle, self._idle = list(self._decoders), self._idle, []
            idle_thread = self._idle_thread
            self._changed.notify_all()
        # Only `kill`: the thread that uses a decoder ends it, and closing its socket here could hit a new
        # descriptor with the same number.
        for decoder in decoders:
            decoder.kill()
        for _, decoder in idle:
            self._end(decoder)
        for decoder in decoders:
            decoder.wait()
        if idle_thread is not None:
            idle_thread.join()

    def _check(self, caller: WaitingRequest) -> None:
        if self._closed:
            raise NoDecoderError(_STOPPING)
        if reason := caller.stop_reason(time.perf_counter()):
            raise reason

    def _enter(self, job: DecodeJob) -> tuple[QueuedJob, threading.Event]:
        with self._lock:
            self._last_number += 1
            queued = QueuedJob(self._last_number, job.memory_bytes, job.cpu_s)
            may_run = threading.Event()
            queue = self._queue.enter(queued)
            if queue is None:
                raise DecodersBusyError(f"the decoders are busy and {self.waiting} images wait for them")
            self._may_run[queued] = may_run
            self._set_queue(queue)
        return queued, may_run

    def _leave(self, queued: QueuedJob) -> None:
        with self._lock:
            del self._may_run[queued]
            self._set_queue(self._queue.leave(queued))

    def _set_queue(self, queue: JobQueue) -> None:
        self._queue = queue
        # Setting an event twice does nothing, so the jobs that ran before need no special case.
        for queued in queue.running:
            self._may_run[queued].set()

    def _decode(self, job: DecodeJob, caller: WaitingRequest) -> DecodeOutcome:
        decoder = self._take_idle_or_start()
        try:
            outcome = self._ask(decoder, job, caller)
        except (DecoderError, DecoderProtocolError, EOFError, OSError) as error:
            # Also where only the caller has gone: the decoder still works on the job and cannot take another.
            raise self._discard(decoder, error) from error
        except BaseException:
            # This thread is being ended, and with it the only one that would end the decoder.
            self._end(decoder)
            raise
        if outcome.header.get("error") == "MemoryError":
            # It has reached its limit, and may still hold memory that the next job would need.
            self._end(decoder)
            self._count(KillReason.MEMORY)
        else:
            self._keep_idle(decoder)
        return outcome

    def _ask(self, decoder: Decoder, job: DecodeJob, caller: WaitingRequest) -> DecodeOutcome:
        start_by_s = time.perf_counter() + _START_TIMEOUT_S

        def check_start() -> None:
            decoder.read_stderr()
            self._check(caller)
            if time.perf_counter() >= start_by_s:
                raise NoDecoderError(f"a decoder was not ready within {_START_TIMEOUT_S:g} s")

        decoder.wait_ready(check_start)
        # Counted from here, so that a decoder's start and its earlier jobs are not charged to this job.
        budget = CpuBudget(decoder.cpu_s)

        def check_job() -> None:
            decoder.read_stderr()
            self._check(caller)
            if reason := budget.stop_reason(decoder.cpu_s, self.limits):
                raise reason

        return decoder.ask(job, self.limits.answer_bytes, check_job)

    def _take_idle_or_start(self) -> Decoder:
        """An idle decoder or a new one. Raises NoDecoderError."""
        while True:
            with self._lock:
                decoder = self._idle.pop()[1] if self._idle else None
            if decoder is None:
                return self._start()
            if decoder.alive:
                return decoder
            # It died while idle, which is no fault of this job: log it and try the next one.
            self._discard(decoder, EOFError())

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
        # `close` may have run while the process started, and would then not have seen it.
        if closed:
            self._end(decoder)
            raise NoDecoderError(_STOPPING)
        return decoder

    def _discard(self, decoder: Decoder, error: Exception) -> DecoderError:
        """End a decoder that has to stop or has died, and log it. Returns the error for its job."""
        cpu_s = decoder.cpu_s  # read before the end: /proc has no entry after it
        how, stderr = self._end(decoder)
        if self._closed:
            return NoDecoderError(_STOPPING)
        reason = KillReason.of(error)
        self._count(reason)
        if reason is not KillReason.DIED:
            self._log.info("decoder killed", reason=reason, pid=decoder.pid, cpu_s=cpu_s)
        elif isinstance(error, EOFError | ConnectionError):
            self._log.warning("decoder died", how=how, pid=decoder.pid, stderr=stderr)
            error = self._death_error(decoder, how)
        else:
            self._log.warning(
                "decoder killed", reason=reason, pid=decoder.pid, error=str(error), stderr=stderr
            )
        if isinstance(error, DecoderError):
            return error
        return DecoderDiedError("the decoder of this image sent an invalid answer")

    @staticmethod
    def _death_error(decoder: Decoder, how: str) -> DecoderError:
        # Before it is ready it has not seen the image: that can't be the cause.
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

    def _count(self, reason: KillReason) -> None:
        with self._lock:
            self._killed[reason] += 1

    def _keep_idle(self, decoder: Decoder) -> None:
        """Keep a decoder for the next job."""
        with self._lock:
            closed = self._closed
            if not closed:
                self._idle.append((time.perf_counter(), decoder))
                if self._idle_thread is None:
                    idle_thread = threading.Thread(target=self._end_idle, name="decoders", daemon=True)
                    idle_thread.start()
                    self._idle_thread = idle_thread
        if closed:
            self._end(decoder)

    def _end_idle(self) -> None:
        """End decoders that have been idle for too long, until none is idle."""
        while True:
            with self._lock:
                if not self._idle or self._closed:
                    # Set under the lock: `_keep_idle` starts a new thread only where it sees None.
                    self._idle_thread = None
                    return
                # The first has been idle for the longest time, because the last is used first.
                since_s, decoder = self._idle[0]
                left_s = since_s + self._idle_s - time.perf_counter()
                if left_s > 0:
                    self._changed.wait(left_s)
                    continue
                del self._idle[0]
            self._end(decoder)
