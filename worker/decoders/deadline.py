"""The reasons to stop a job before it has an answer."""

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
class WaitingRequest:
    """The request that waits for a job: until `deadline_s` on the clock, or until `gone()` is true.

    After `busy_s` on the clock the worker counts as too busy for it, and it should try another worker.
    """

    deadline_s: float
    gone: Callable[[], bool]
    busy_s: float

    def stop_reason(self, now_s: float) -> DecoderError | None:
        """Why the job should stop, or None."""
        if self.gone():
            return CallerGoneError("the caller has left")
        if now_s >= self.deadline_s:
            return DecodeOverdueError("the request's deadline passed before the image was decoded")
        if now_s >= self.busy_s:
            return DecodersBusyError("the decoders were too busy for the image")
        return None


@dataclass(frozen=True, slots=True)
class CpuBudget:
    """Limits the CPU time of one job. `cpu_s` is its decoder's CPU time when the job began."""

    cpu_s: float

    def stop_reason(self, cpu_s: float, limits: PoolLimits) -> DecoderError | None:
        """Why the decoder, which has used `cpu_s` by now, should be stopped, or None."""
        if cpu_s - self.cpu_s >= limits.decode_timeout_s:
            return DecodeTimeoutError(f"decoding took more than {limits.decode_timeout_s:g} s of CPU time")
        return None
