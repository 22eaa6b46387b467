"""Decodes photographs as a worker does: cheap ones in the thread that asks, costly ones in other processes.

A bomb, or an image that ends the library that reads it, costs itself alone: such a process can be ended.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import structlog

from tfleet.runtime.cpus import usable_cpus
from tfleet.training.errors import RetrainFailedError
from tfleet.worker.decoders import DecoderError, DecoderPool
from tfleet.worker.decoders.limits import DEFAULT_DECODE_TIMEOUT_S
from tfleet.worker.image.decode import swaps_sides
from tfleet.worker.image.formats import read_header
from tfleet.worker.image.geometry import Geometry
from tfleet.worker.image.isolated_decode import COMMAND, isolated_decoder
from tfleet.worker.image.limits import DEFAULT_MAX_PIXELS, ImageLimits
from tfleet.worker.image.preprocess import pixels

if TYPE_CHECKING:
    from tfleet.worker.image.preprocess import IsolatedDecode
    from tfleet.worker.inference.classifier import Classifier, PreparedImage


class PhotoDecoder:
    """Decodes from any thread until it is closed. It begins processes when a costly image comes.

    `max_pixels` is the largest width times height of an image.
    """

    def __init__(self, max_pixels: int = DEFAULT_MAX_PIXELS) -> None:
        self._limits = ImageLimits(max_pixels)
        limits = self._limits.decoders(usable_cpus(), DEFAULT_DECODE_TIMEOUT_S)
        # Nobody waits for an answer, and a thread that waits for a decoder has nothing else to do.
        limits = dataclasses.replace(
            limits, max_waiting=10**6, max_ahead_s=math.inf, answer_within_s=math.inf
        )
        self._pool = DecoderPool(COMMAND, limits, log=structlog.get_logger(), nice=0)

    def __repr__(self) -> str:
        return f"<PhotoDecoder {self._pool!r}>"

    def prepare(self, classifier: Classifier, photo: bytes) -> PreparedImage:
        """What the classifier makes of it. Raises ImageError, and RetrainFailedError without decoders."""
        with self._decode() as decode:
            return classifier.prepare(photo, self._limits, decode)

    def stretched(self, photo: bytes, side: int) -> npt.NDArray[np.uint8]:
        """The whole photograph as a square: uint8[side, side, 3]. Raises as `prepare` does."""
        return self.cropped(photo, Geometry(side, side))

    def thumbnail(self, photo: bytes, side: int) -> npt.NDArray[np.uint8]:
        """The whole photograph in its proportions: uint8[height, width, 3], neither above `side`.

        Raises as `prepare` does.
        """
        header = read_header(photo, self._limits)
        width, height = header.width, header.height
        if swaps_sides(header.orientation):
            width, height = height, width
        scale = side / max(width, height, side)
        return self.cropped(photo, Geometry(max(1, round(height * scale)), max(1, round(width * scale))))

    def cropped(self, photo: bytes, geometry: Geometry) -> npt.NDArray[np.uint8]:
        """Cut and resized as the geometry says: uint8[height, width, 3]. Raises as `prepare` does."""
        with self._decode() as decode:
            return pixels(photo, self._limits, geometry, decode)

    @contextmanager
    def _decode(self) -> Iterator[IsolatedDecode]:
        try:
            yield isolated_decoder(self._pool, time.perf_counter(), math.inf, lambda: False)
        except DecoderError as error:
            raise RetrainFailedError(f"an image cannot be decoded now: {error}") from error

    def close(self) -> None:
        """End the processes."""
        self._pool.close()
