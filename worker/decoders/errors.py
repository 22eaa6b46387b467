"""Why a job has no outcome.

Why a decoder was ended before its time.
"""

from __future__ import annotations

from enum import StrEnum


class DecoderError(Exception):
    """A job ended without an answer of its decoder. The message is one line."""


class DecodersBusyError(DecoderError):
    """As many jobs wait as may: nothing was done."""


class DecodeTimeoutError(DecoderError):
    """The decoding took longer than any may, and was broken off."""


class NoDecoderError(DecoderError):
    """No decoder could be started, or the worker is stopping. The image has nothing to do with it."""


class DecoderDiedError(DecoderError):
    """The decoder ended in the middle of the job, or did not answer as it should."""


class DecoderKilledError(DecoderDiedError):
    """Somebody else killed it in the middle of the job: the kernel does where memory is short."""


class DecodeOverdueError(DecoderError):
    """The caller's own time was over before the answer."""


class CallerGoneError(DecoderError):
    """Nobody waits for the answer any more."""


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
