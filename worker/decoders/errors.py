"""Why a job has no outcome."""

from __future__ import annotations


class DecoderError(Exception):
    """A job ended without an answer of its decoder. The message is one line."""


class DecodersBusyError(DecoderError):
    """As many jobs wait as may: nothing was done."""


class DecodeTimeoutError(DecoderError):
    """The decoding took longer than any may, and was broken off."""


class DecoderDiedError(DecoderError):
    """The decoder ended in the middle of the job, could not be started, or did not answer as it should."""


class DecodeOverdueError(DecoderError):
    """The caller's own time was over before the answer."""


class CallerGoneError(DecoderError):
    """Nobody waits for the answer any more."""
