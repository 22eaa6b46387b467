"""A pool of decoder processes for costly images.

Each decoder has limits on memory and CPU time, and is killed and replaced when it exceeds one. The worker
stays fast for all other images meanwhile, and the process's memory is freed with it. The pool knows nothing
of images: the decoder's program brings the functions and calls `tfleet.worker.decoders.child.serve`.
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
