"""When a job has to end though it has no answer yet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tfleet.worker.decoders.errors import (
    CallerGoneError,
    DecodeOverdueError,
    DecoderError,
    DecodeTimeoutError,
)
from tfleet.worker.decoders.limits import PoolLimits


@dataclass(frozen=True, slots=True)
class Caller:
    """Who waits for the answer: until `deadline_s` on the clock, and unless it has gone."""

    deadline_s: float
    gone: Callable[[], bool]

    def why_end(self, now_s: float) -> DecoderError | None:
        """Why nothing more is to be done for it."""
        if self.gone():
            return CallerGoneError("the caller has left")
        if now_s >= self.deadline_s:
            return DecodeOverdueError("the caller's time was over before the image was decoded")
        return None


@dataclass(frozen=True, slots=True)
class Began:
    """When a job began: on the clock, and by the CPU time that its decoder had taken until then."""

    now_s: float
    cpu_s: float

    def why_end(self, now_s: float, cpu_s: float, limits: PoolLimits) -> DecoderError | None:
        """Why the decoder may not go on."""
        if cpu_s - self.cpu_s >= limits.decode_timeout_s:
            return DecodeTimeoutError(f"decoding took more than {limits.decode_timeout_s:g} s of CPU time")
        if now_s - self.now_s >= limits.wall_timeout_s:
            return DecodeTimeoutError(f"decoding took more than {limits.wall_timeout_s:g} s")
        return None
