"""Why a decoder was ended before its time."""

from __future__ import annotations

from enum import StrEnum

from tfleet.worker.decoders.errors import (
    CallerGoneError,
    DecodeOverdueError,
    DecodersBusyError,
    DecodeTimeoutError,
)


class Killed(StrEnum):
    """The reasons; each value is the label of a metric."""

    TIMEOUT = "timeout"
    MEMORY = "memory"
    DIED = "died"
    BUSY = "busy"
    DEADLINE = "deadline"
    CLIENT_GONE = "client-gone"

    @classmethod
    def of(cls, error: BaseException) -> Killed:
        """The one that belongs to what ended a job."""
        return next((reason for kind, reason in _REASONS if isinstance(error, kind)), cls.DIED)


_REASONS = (
    (DecodeTimeoutError, Killed.TIMEOUT),
    (DecodersBusyError, Killed.BUSY),
    (DecodeOverdueError, Killed.DEADLINE),
    (CallerGoneError, Killed.CLIENT_GONE),
)
