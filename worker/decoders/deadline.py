"""When a job has to end though it has no answer yet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tfleet.worker.decoders.errors import (
    CallerGoneError,
    DecodeOverdueError,
    DecoderError,
    DecodersBusyError,
    DecodeTimeoutError,
)
from tfleet.worker.decoders.limits import PoolLimits


@dataclass(frozen=True, slots=True)
class Caller:
    """Who waits for the answer: until `deadline_s` on the clock, and unless it has gone.

    `busy_s` is when it had better ask another worker.
    """

    deadline_s: float
    gone: Callable[[], bool]
    busy_s: float

    def why_end(self, now_s: float) -> DecoderError | None:
        """Why nothing more is to be done for it."""
        if self.gone():
            return CallerGoneError("the caller has left")
        if now_s >= self.deadline_s:
            return DecodeOverdueError("the caller's time was over before the image was decoded")
        if now_s >= self.busy_s:
            return DecodersBusyError("the decoders had too little time for it")
        return None


@dataclass(frozen=True, slots=True)
class Began:
    """The CPU time that a job's decoder had taken when the job began."""

    cpu_s: float

    def why_end(self, cpu_s: float, limits: PoolLimits) -> DecoderError | None:
        """Why the decoder may not go on."""
        if cpu_s - self.cpu_s >= limits.decode_timeout_s:
            return DecodeTimeoutError(f"decoding took more than {limits.decode_timeout_s:g} s of CPU time")
        return None
