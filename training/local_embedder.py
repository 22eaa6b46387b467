"""Makes vectors with a model in this process: decoded and run by the code of a worker that serves it.

A costly image, or one that may end the library that reads it, is decoded in a process beside this one, as a
worker does: a bomb costs itself alone.
"""

from __future__ import annotations

import dataclasses
import math
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt
import structlog

from tfleet.runtime.cpus import usable_cpus
from tfleet.training.errors import CannotRetrainError, RetrainFailedError
from tfleet.worker.decoders import DecoderError, DecoderPool
from tfleet.worker.decoders.limits import DEFAULT_DECODE_TIMEOUT_S
from tfleet.worker.image.errors import ImageError
from tfleet.worker.image.isolated_decode import COMMAND, isolated_decoder
from tfleet.worker.image.limits import ImageLimits
from tfleet.worker.inference.load import before_tensorflow
from tfleet.worker.model.find import find_model

if TYPE_CHECKING:
    from tfleet.worker.inference.classifier import Classifier, PreparedImage
    from tfleet.worker.model.spec import ModelSpec

_BATCH: int = 8
"""As many as a worker runs together by default."""


class LocalEmbedder:
    """An `Embedder` that has loaded a model. Close it: it has processes."""

    most_photos = _BATCH

    def __init__(self, classifier: Classifier, cpus: int) -> None:
        assert classifier.embedding is not None, "see load_embedder"
        self._classifier = classifier
        self.key = classifier.embedding.space
        self.dimensions = classifier.embedding.size
        # Some threads decode while others run.
        self.concurrency = classifier.concurrent_runs + cpus
        self._runs = threading.Semaphore(classifier.concurrent_runs)
        self._limits = ImageLimits()
        limits = self._limits.decoders(cpus, DEFAULT_DECODE_TIMEOUT_S)
        # Nobody waits for an answer, and a thread that waits for a decoder has nothing else to do.
        limits = dataclasses.replace(
            limits, max_waiting=10**6, max_ahead_s=math.inf, answer_within_s=math.inf
        )
        self._pool = DecoderPool(COMMAND, limits, log=structlog.get_logger(), nice=0)

    def __repr__(self) -> str:
        return f"<LocalEmbedder {self._classifier!r}>"

    @property
    def spec(self) -> ModelSpec:
        """The model that makes the vectors."""
        return self._classifier.spec

    @property
    def tensor(self) -> str:
        """The tensor of the model's graph that has the vectors."""
        assert self._classifier.embedding is not None
        return self._classifier.embedding.tensor

    def embed(self, photos: Sequence[bytes]) -> list[npt.NDArray[Any] | str]:
        """See `Embedder`."""
        found: list[npt.NDArray[Any] | str] = [""] * len(photos)
        prepared: dict[int, PreparedImage] = {}
        decode = isolated_decoder(self._pool, time.perf_counter(), math.inf, lambda: False)
        for index, photo in enumerate(photos):
            try:
                prepared[index] = self._classifier.prepare(photo, self._limits, decode)
            except ImageError as error:
                found[index] = str(error)
            except DecoderError as error:
                raise RetrainFailedError(f"an image cannot be decoded now: {error}") from error
        self._run(prepared, found)
        return found

    def _run(self, prepared: dict[int, PreparedImage], found: list[npt.NDArray[Any] | str]) -> None:
        """Run these images. A model that decodes images itself may reject one: the others run without it."""
        if not prepared:
            return
        try:
            with self._runs:
                vectors = self._classifier.embed(list(prepared.values()))
        except ImageError as error:
            if len(prepared) == 1:
                found[next(iter(prepared))] = str(error)
                return
            for index, image in prepared.items():
                self._run({index: image}, found)
            return
        for index, vector in zip(prepared, vectors, strict=True):
            found[index] = vector

    def close(self) -> None:
        """End the processes, and close the model."""
        self._pool.close()
        self._classifier.close()


def load_embedder(backbone: Path | None, cpus: int | None) -> LocalEmbedder:
    """Load the model at a path, by default the one that comes with tfleet.

    Raises ModelError, and CannotRetrainError for a model without vectors.
    """
    logger: Any = structlog.get_logger()
    spec = before_tensorflow(find_model(backbone), logger)
    if spec.output.embedding is None:
        raise CannotRetrainError(
            f"{spec.origin}: nothing says which of its tensors has a vector for each image: write embedding "
            "under [output] of its model.toml"
        )
    # These import TensorFlow, which takes seconds: what can be told before is told before.
    from tfleet.worker.inference.open_model import load_model  # noqa: PLC0415 - see above

    model = load_model(spec, cpus=cpus)
    try:
        if model.classifier is None or model.classifier.embedding is None:
            raise CannotRetrainError(f"{spec.origin}: takes no images")
        return LocalEmbedder(model.classifier, cpus or usable_cpus())
    except BaseException:
        model.close()
        raise
