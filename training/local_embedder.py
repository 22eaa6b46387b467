"""Makes vectors with a model in this process: decoded and run by the code of a worker that serves it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy.typing as npt
import structlog

from tfleet.runtime.cpus import usable_cpus
from tfleet.training.decoding import PhotoDecoder
from tfleet.training.errors import CannotRetrainError
from tfleet.worker.image.errors import ImageError
from tfleet.worker.inference.load import before_tensorflow
from tfleet.worker.memory import use_one_heap
from tfleet.worker.model.find import find_model

if TYPE_CHECKING:
    from tfleet.worker.inference.classifier import Classifier, PreparedImage
    from tfleet.worker.model.spec import ModelSpec

_BATCH: Final = 8
"""As many as a worker runs together by default."""


class LocalEmbedder:
    """An `Embedder` with a model that is loaded."""

    most_photos = _BATCH

    def __init__(self, classifier: Classifier, decoder: PhotoDecoder, cpus: int) -> None:
        assert classifier.embedding is not None, "see load_embedder"
        self.classifier = classifier
        """The model that makes the vectors."""
        self.key = classifier.embedding.space
        self.dimensions = classifier.embedding.size
        # Some threads decode while others run.
        self.concurrency = classifier.concurrent_runs + cpus
        self._decoder = decoder
        self._runs = threading.Semaphore(classifier.concurrent_runs)

    def __repr__(self) -> str:
        return f"<LocalEmbedder {self.classifier!r}>"

    def embed(self, photos: Sequence[bytes]) -> list[npt.NDArray[Any] | str]:
        """See `Embedder`."""
        found: list[npt.NDArray[Any] | str] = [""] * len(photos)
        prepared: dict[int, PreparedImage] = {}
        for index, photo in enumerate(photos):
            try:
                prepared[index] = self._decoder.prepare(self.classifier, photo)
            except ImageError as error:
                found[index] = str(error)
        self._run(prepared, found)
        return found

    def _run(self, prepared: dict[int, PreparedImage], found: list[npt.NDArray[Any] | str]) -> None:
        """Run these images. A model that decodes images itself may reject one: the others run without it."""
        if not prepared:
            return
        try:
            with self._runs:
                vectors = self.classifier.embed(list(prepared.values()))
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
        """Close the model."""
        self.classifier.close()


def find_backbone(path: Path | None) -> ModelSpec:
    """The model at a path, by default the one that comes with tfleet.

    Raises ModelError, and CannotRetrainError for a model without vectors. No TensorFlow.
    """
    logger: Any = structlog.get_logger()
    spec = before_tensorflow(find_model(path), logger)
    if spec.output.embedding is None:
        raise CannotRetrainError(
            f"{spec.origin}: nothing says which of its tensors has a vector for each image: write embedding "
            "under [output] of its model.toml"
        )
    return spec


def load_embedder(spec: ModelSpec, decoder: PhotoDecoder, cpus: int | None) -> LocalEmbedder:
    """Load a model that `find_backbone` has found. Raises ModelError and CannotRetrainError."""
    use_one_heap()
    from tfleet.worker.inference.open_model import load_model  # noqa: PLC0415 - it takes seconds

    model = load_model(spec, cpus=cpus)
    try:
        if model.classifier is None or model.classifier.embedding is None:
            raise CannotRetrainError(f"{spec.origin}: takes no images")
        model.warm_up((1, LocalEmbedder.most_photos))
        return LocalEmbedder(model.classifier, decoder, cpus or usable_cpus())
    except BaseException:
        model.close()
        raise
