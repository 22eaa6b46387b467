"""Why a job has no outcome."""

from __future__ import annotations


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
