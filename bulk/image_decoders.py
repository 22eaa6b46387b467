"""Decodes images as a worker does: cheap ones in the thread that asks, costly ones in other processes.

A bomb, or an image that ends the library that reads it, costs its own row alone: such a process can be ended.
What all of them together may take follows from `--memory`, so a row gets the same answer in each run.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from tfleet.bulk.errors import RunFailedError
from tfleet.bulk.memory import decoder_bytes
from tfleet.runtime.cpus import usable_cpus
from tfleet.worker.decoders import DecoderError, DecoderPool
from tfleet.worker.decoders.limits import DEFAULT_DECODE_TIMEOUT_S
from tfleet.worker.image.errors import TooCostlyError
from tfleet.worker.image.isolated_decode import COMMAND, isolated_decoder
from tfleet.worker.image.limits import ImageLimits

if TYPE_CHECKING:
    from tfleet.worker.image.cost import Cost
    from tfleet.worker.inference.classifier import Classifier, PreparedImage

_MB: Final = 10**6


class _Silent:
    """A log for a pool whose failures stand in rows."""

    def __repr__(self) -> str:
        return "<_Silent>"

    def info(self, _event: str, **_facts: Any) -> None:
        """Nothing."""

    warning = info


class ImageDecoders:
    """Prepares images for a model, from any thread, until it is closed. `command` starts a process."""

    def __init__(self, memory_bytes: int, *, command: Sequence[str] = COMMAND) -> None:
        self._room_bytes = decoder_bytes(memory_bytes)
        self._limits = ImageLimits()
        limits = self._limits.decoders(usable_cpus(), DEFAULT_DECODE_TIMEOUT_S)
        program_bytes = limits.address_space_bytes - limits.memory_bytes
        limits = dataclasses.replace(
            limits,
            memory_bytes=self._room_bytes,
            address_space_bytes=self._room_bytes + program_bytes,
            # Nobody waits for an answer, and a thread that waits here has nothing else to do.
            max_waiting=10**6,
            max_ahead_s=math.inf,
            answer_within_s=math.inf,
        )
        self._pool = DecoderPool(command, limits, log=_Silent(), nice=0)

    def __repr__(self) -> str:
        return f"<ImageDecoders {self._pool!r}>"

    def prepare(self, classifier: Classifier, image: bytes) -> PreparedImage:
        """What the classifier makes of an image. Raises ImageError, and RunFailedError without decoders."""
        decode = isolated_decoder(self._pool, time.perf_counter(), math.inf, lambda: False)

        def within_memory(
            name: str, arguments: Mapping[str, Any], picture: bytes, cost: Cost
        ) -> tuple[Mapping[str, Any], bytes]:
            if cost.memory_bytes > self._room_bytes:
                raise TooCostlyError(
                    f"decoding this {arguments['header']['format']} image takes about "
                    f"{cost.memory_bytes // _MB} MB, and a quarter of --memory is "
                    f"{self._room_bytes // _MB} MB: give --memory more, or save a smaller image"
                )
            return decode(name, arguments, picture, cost)

        try:
            return classifier.prepare(image, self._limits, within_memory)
        except DecoderError as error:
            raise RunFailedError(f"an image cannot be decoded now: {error}") from error

    def close(self) -> None:
        """End the processes."""
        self._pool.close()
