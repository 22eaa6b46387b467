"""A few processes that decode the costly images of strangers, so that the worker need not.

A decoder has a limit of memory and of time, and is killed and replaced when it exceeds one: the worker keeps
its speed for the other images meanwhile, and the memory comes back with the process. The pool knows nothing
of images: what a decoder does is in the program that calls `tfleet.worker.decoders.child.serve`.
"""

from tfleet.worker.decoders.errors import (
    CallerGoneError,
    DecodeOverdueError,
    DecoderDiedError,
    DecoderError,
    DecoderKilledError,
    DecodersBusyError,
    DecodeTimeoutError,
    NoDecoderError,
)
from tfleet.worker.decoders.limits import PoolLimits
from tfleet.worker.decoders.messages import DecodeJob, DecodeOutcome
from tfleet.worker.decoders.pool import DecoderPool

__all__ = [
    "CallerGoneError",
    "DecodeJob",
    "DecodeOutcome",
    "DecodeOverdueError",
    "DecodeTimeoutError",
    "DecoderDiedError",
    "DecoderError",
    "DecoderKilledError",
    "DecoderPool",
    "DecodersBusyError",
    "NoDecoderError",
    "PoolLimits",
]
