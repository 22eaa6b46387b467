"""Real decoder processes, as a worker has them."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

import structlog

from tfleet.worker.decoders import DecoderPool
from tfleet.worker.image.isolated_decode import COMMAND, isolated_decoder
from tfleet.worker.image.limits import ImageLimits
from tfleet.worker.image.preprocess import IsolatedDecode


@contextlib.contextmanager
def decoders(limits: ImageLimits | None = None, timeout_s: float = 5.0) -> Iterator[IsolatedDecode]:
    """The way to them, for somebody who has time and stays."""
    pool_limits = (limits or ImageLimits()).decoders(2, timeout_s)
    pool = DecoderPool(COMMAND, pool_limits, log=structlog.get_logger())
    try:
        yield isolated_decoder(pool, math.inf, math.inf, lambda: False)
    finally:
        pool.close()
