"""Classifies the image of a request: checks it, decodes the image, runs the model, and ranks the labels."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import numpy as np
from flask import Request

from tfleet.contract.names import TICKET_QUERY
from tfleet.contract.problem import ProblemError
from tfleet.worker.api.prediction_request import PredictionRequest
from tfleet.worker.api.problems import RejectedError, takes_no_images
from tfleet.worker.api.query import PARAMETERS, TOP, check_parameters, wanted_labels, wanted_signature
from tfleet.worker.api.turn import Turn, take_turn
from tfleet.worker.api.upload import image_bytes
from tfleet.worker.decoders import (
    CallerGoneError,
    DecodeOverdueError,
    DecoderPool,
    DecodersBusyError,
    NoDecoderError,
)
from tfleet.worker.image.isolated_decode import isolated_decoder
from tfleet.worker.image.limits import ImageLimits
from tfleet.worker.inference.batch_callers import OverdueError
from tfleet.worker.inference.batcher import Batcher, first_of
from tfleet.worker.lifecycle import Lifecycle
from tfleet.worker.memory import MemoryTrimmer
from tfleet.worker.metrics import StageTimes, WorkerMetrics
from tfleet.worker.rejection import Rejection
from tfleet.worker.wsgi.environ import CLIENT_GONE

if TYPE_CHECKING:
    import numpy.typing as npt

    from tfleet.worker.inference import Classifier, PreparedImage

    Row: TypeAlias = npt.NDArray[np.float32]

_KNOWN: Final = frozenset({TOP, TICKET_QUERY})


@dataclass(frozen=True, slots=True)
class Ranking:
    """Labels with their scores, best first, and whether the scores are probabilities."""

    labels: Sequence[tuple[str, float]]
    probabilities: bool


class WaitingImage(NamedTuple):
    """A decoded image that waits for the session: for its vector where it `embeds`, else for its scores."""

    image: PreparedImage
    embeds: bool


class Classify:
    """Classifies the image of a request, and measures its stages."""

    def __init__(
        self,
        lifecycle: Lifecycle,
        metrics: WorkerMetrics,
        limits: ImageLimits,
        *,
        decoders: DecoderPool,
        memory: MemoryTrimmer,
    ) -> None:
        self.lifecycle = lifecycle
        self._metrics = metrics
        self._limits = limits
        self._decoders = decoders
        self._memory = memory
        self._oldest = first_of(self._batch_sizes)
        self._batcher: Batcher[WaitingImage, Row] = Batcher(self._run, self._choose, self._concurrent_runs)

    @property
    def waiting(self) -> int:
        """How many decoded images wait for a run in the session."""
        return self._batcher.waiting

    def __call__(self, request: Request) -> tuple[Ranking, StageTimes]:
        """The labels, and the times of the stages.

        Raises RejectedError (nothing was computed), ProblemError and ImageError.
        """
        asked = PredictionRequest.of(request)
        model, turn = take_turn(asked, self.lifecycle)
        classifier = model.classifier
        if classifier is None:
            raise ProblemError(takes_no_images(model))
        args = asked.args
        check_parameters(args, _KNOWN if wanted_signature(args) is None else PARAMETERS)
        top = wanted_labels(args, len(classifier.labels))
        scores, timing = self.run_image(request, classifier, turn)
        return Ranking(classifier.top(scores, top), classifier.scores.probabilities), timing

    def run_image(
        self, request: Request, classifier: Classifier, turn: Turn, *, embeds: bool = False
    ) -> tuple[Row, StageTimes]:
        """The scores of a request's image, or its vector where it `embeds`, and the times of the stages.

        Raises as a call does.
        """
        gone = request.environ.get(CLIENT_GONE, lambda: False)
        prepared = self.prepare(classifier, image_bytes(request), turn, gone)
        decoded_s = time.perf_counter()
        try:
            result = self._batcher(WaitingImage(prepared, embeds), turn.deadline_s)
        except OverdueError:
            raise RejectedError(Rejection.DEADLINE) from None
        timing = StageTimes(
            decode_ms=(decoded_s - turn.began_s) * 1000,
            queue_ms=(turn.began_s - turn.arrived_s + result.queue_s) * 1000,
            infer_ms=result.infer_s * 1000,
            batch=result.batch,
        )
        self._metrics.classified(timing)
        return result.row, timing

    def prepare(
        self, classifier: Classifier, image: bytes, turn: Turn, gone: Callable[[], bool]
    ) -> PreparedImage:
        """What the classifier makes of the bytes of an image. `gone` says whether the client has left.

        Raises RejectedError and ImageError.
        """
        self._memory.note(len(image))
        isolated = isolated_decoder(self._decoders, turn.arrived_s, turn.deadline_s, gone)
        try:
            return classifier.prepare(image, self._limits, isolated)
        except DecodersBusyError:
            raise RejectedError(Rejection.DECODERS_BUSY) from None
        except NoDecoderError:
            raise RejectedError(Rejection.NO_DECODER) from None
        except DecodeOverdueError:
            raise RejectedError(Rejection.DEADLINE) from None
        except CallerGoneError:
            raise RejectedError(Rejection.CLIENT_GONE) from None

    @property
    def answer_within_s(self) -> float:
        """How long a request may take for its images."""
        return self._decoders.limits.answer_within_s

    def estimate_s(self, classifier: Classifier, image: bytes) -> float:
        """How many seconds of a CPU `prepare` takes at most, by the image's header. Raises ImageError."""
        return classifier.estimate_s(image, self._limits)

    def _run(self, batch: Sequence[WaitingImage]) -> list[Row]:
        classifier, images = self._loaded(), [each.image for each in batch]
        return list(classifier.embed(images) if batch[0].embeds else classifier.run(images))

    def _choose(self, waiting: Sequence[WaitingImage]) -> Sequence[int]:
        """The oldest images that want the same as the oldest one, in a batch size that was warmed up."""
        embeds = waiting[0].embeds
        same = [position for position, each in enumerate(waiting) if each.embeds == embeds]
        return same[: len(self._oldest(same))]

    def _batch_sizes(self) -> Sequence[int]:
        return self._loaded().batch_sizes

    def _concurrent_runs(self) -> int:
        return self._loaded().concurrent_runs

    def _loaded(self) -> Classifier:
        classifier = self.lifecycle.classifier
        assert classifier is not None, "images are only prepared once it is loaded"
        return classifier
