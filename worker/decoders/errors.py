"""The errors of decode jobs, and the reasons for killing a decoder."""

from __future__ import annotations

from enum import StrEnum


class DecoderError(Exception):
    """A job ended without an answer from its decoder. The message is one line."""


class DecodersBusyError(DecoderError):
    """Too many jobs wait, or there was too little CPU time for this one: try another worker."""


class DecodeTimeoutError(DecoderError):
    """Decoding took more CPU time than the limit and was stopped."""


class NoDecoderError(DecoderError):
    """No decoder could be started, or the worker is stopping. The image is not the cause."""


class DecoderDiedError(DecoderError):
    """The decoder ended in the middle of the job, or sent an invalid answer."""


class DecoderKilledError(DecoderDiedError):
    """The decoder was killed from outside in the middle of the job: by the kernel, where memory is short."""


class DecodeOverdueError(DecoderError):
    """The request's deadline passed before the answer."""


class CallerGoneError(DecoderError):
    """The client has closed its connection: the answer is not needed any more."""


class KillReason(StrEnum):
    """Why a decoder was killed or died; each value is a label of a metric."""

    TIMEOUT = "timeout"
    MEMORY = "memory"
    DIED = "died"
    BUSY = "busy"
    DEADLINE = "deadline"
    CLIENT_GONE = "client-gone"

    @classmethod
    def of(cls, error: BaseException) -> KillReason:
        """The reason that belongs to the error which ended a job."""
        return next((reason for kind, reason in _REASONS if isinstance(error, kind)), cls.DIED)


_REASONS = (
    (DecodeTimeoutError, KillReason.TIMEOUT),
    (DecodersBusyError, KillReason.BUSY),
    (DecodeOverdueError, KillReason.DEADLINE),
    (CallerGoneError, KillReason.CLIENT_GONE),
)
