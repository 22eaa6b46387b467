"""Train the last layers of the backbone as well, where the head alone is not enough.

The training itself runs in a child process, since Keras and the sessions of the worker's code are better not
in one. This side reads the photographs, and writes the kernels that come back into the graph.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from tfleet.runtime.cpus import usable_cpus
from tfleet.training.errors import CannotRetrainError, RetrainFailedError
from tfleet.training.fine_tune.job import CONSTANT, EPOCHS, FineTuneJob, TrainingPlan
from tfleet.training.fine_tune.pixels import PixelReader, write_pixels
from tfleet.training.fine_tune.process import run_child
from tfleet.training.model_versions import new_version
from tfleet.training.progress import TuningProgress
from tfleet.training.results import FineTuning, Share, Split, TuningLosses
from tfleet.training.softmax_regression import LinearHead
from tfleet.worker.image.geometry import Geometry, Scaling

if TYPE_CHECKING:
    from pathlib import Path

    from tfleet.training.decoding import PhotoDecoder
    from tfleet.training.head import StartHead
    from tfleet.training.material import Material
    from tfleet.training.photos import FoundPhotos
    from tfleet.training.progress import Watcher
    from tfleet.worker.inference.classifier import Classifier

LEARNING_RATE: Final = 3e-4
"""The largest one, see `rates`. 2e-4 and 5e-4 did about as well."""
_COMPARED: Final = 4
"""Photographs whose vectors have to be the same in Keras before anything is trained."""
_RGB: Final = 3


@dataclass(frozen=True, slots=True)
class Tuned:
    """A network that was trained further: `constants` are the new values of nodes of its graph.

    `probabilities` are float32[tests, classes]. It is the network of the epoch `best` of `epochs`.
    """

    head: LinearHead
    constants: Mapping[str, npt.NDArray[np.float32]]
    probabilities: npt.NDArray[np.float32]
    losses: TuningLosses
    best: int
    epochs: int
    seconds: float

    @property
    def better(self) -> bool:
        """Whether it does better on validation than the head alone."""
        return self.losses.better

    def figures(self, head_accuracy: Share, accuracy: Share) -> FineTuning:
        """With the accuracies on the test of the head alone and of this."""
        return FineTuning(
            self.better,
            self.epochs,
            self.best,
            self.losses,
            head_accuracy,
            accuracy,
            self.seconds,
        )


class FineTuner:
    """Trains the network of a classifier. Raises CannotRetrainError for one that Keras can't rebuild."""

    def __init__(
        self,
        classifier: Classifier,
        decoder: PhotoDecoder,
        *,
        epochs: int = EPOCHS,
        mirror: bool = True,
        learning_rate: float = LEARNING_RATE,
        cpus: int | None = None,
    ) -> None:
        from tfleet.training.fine_tune.layers import read_layers  # noqa: PLC0415 - these import TensorFlow
        from tfleet.training.head_graph import part_of  # noqa: PLC0415

        self._classifier = classifier
        self._decoder = decoder
        self._epochs = epochs
        self._mirror = mirror
        self._learning_rate = learning_rate
        self._cpus = cpus or usable_cpus()
        self._part = part_of(classifier)
        self._geometry, self._scaling = _pixels_of(classifier)
        read_layers(self._part.definition, self._part.image, self._part.embedding)

    def __repr__(self) -> str:
        return f"<FineTuner {self._classifier!r} epochs={self._epochs}>"

    def tune(
        self, found: FoundPhotos, material: Material, start: StartHead, watcher: Watcher, model: Path
    ) -> Tuned:
        """Begin with `start`, which no validation photograph has trained. Work in the folder `model`.

        Raises CannotRetrainError without validation photographs, and RetrainFailedError.
        """
        if Split.VALIDATION not in material.splits:
            raise CannotRetrainError(
                "--fine-tune needs photographs to validate with, and there are none: give more photographs"
            )
        try:
            with new_version(model) as work:  # it is not published: this is a place to work in
                job = self._job(work, start.penalty)
                watcher.step("reading pixels")
                reader = PixelReader(found, self._decoder, self._geometry)
                write_pixels(material.photos, reader, job.pixels, self._cpus, watcher.vectors)
                self._write(job, material, reader, start.head)
                watcher.step("fine-tuning")
                answer = run_child(job, lambda *done: watcher.tuning(TuningProgress(*done)))
                return _tuned(job, answer)
        except OSError as error:
            raise RetrainFailedError(f"{model}: cannot be written to: {error.strerror or error}") from error

    def _job(self, work: Path, penalty: float) -> FineTuneJob:
        plan = TrainingPlan(self._epochs, self._mirror, self._learning_rate, penalty)
        part, scaling = self._part, self._scaling
        return FineTuneJob(str(work.absolute()), part.image, part.embedding, scaling, plan, self._cpus)

    def _write(self, job: FineTuneJob, material: Material, reader: PixelReader, head: LinearHead) -> None:
        job.backbone.write_bytes(self._part.definition.SerializeToString())
        first = [reader.read(photo) for photo in material.photos[:_COMPARED]]
        scaled = [each if self._scaling is None else self._scaling(each) for each in first]
        splits = np.array([str(each) for each in material.splits])
        np.savez(
            job.photos,
            classes=material.columns,
            expected=self._classifier.embed(scaled),
            weights=head.weights,
            intercepts=head.intercepts,
            train=np.flatnonzero(splits == Split.TRAIN),
            validation=np.flatnonzero(splits == Split.VALIDATION),
            test=np.flatnonzero(splits == Split.TEST),
        )


def _pixels_of(classifier: Classifier) -> tuple[Geometry, Scaling | None]:
    """How photographs become the input of the graph."""
    feed = classifier.pixel_input
    if feed is None or feed.channels != "rgb" or feed.layout.depth != _RGB or feed.batch is not None:
        raise CannotRetrainError(
            f"{classifier.spec.origin}: --fine-tune needs a model that takes decoded RGB images, any "
            "number of them"
        )
    return feed.geometry, feed.scaling


def _tuned(job: FineTuneJob, answer: Mapping[str, Any]) -> Tuned:
    with np.load(job.result, allow_pickle=False) as file:
        arrays = dict(file)
    return Tuned(
        head=LinearHead(arrays["weights"], arrays["intercepts"]),
        constants={
            name.removeprefix(CONSTANT): values
            for name, values in arrays.items()
            if name.startswith(CONSTANT)
        },
        probabilities=arrays["probabilities"],
        losses=TuningLosses(answer["head_loss"], answer["loss"], answer["doubt"]),
        best=answer["best"],
        epochs=answer["epochs"],
        seconds=answer["seconds"],
    )
