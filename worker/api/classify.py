"""Classifies the image of a request: checks it, decodes the image, runs the model, and ranks the labels."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

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
    from tfleet.worker.inference import Classifier, PreparedImage, Probabilities

_KNOWN: Final = frozenset({TOP, TICKET_QUERY})


@dataclass(frozen=True, slots=True)
class Ranking:
    """Labels with their scores, best first, and whether the scores are probabilities."""

    labels: Sequence[tuple[str, float]]
    probabilities: bool


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
        self._lifecycle = lifecycle
        self._metrics = metrics
        self._limits = limits
        self._decoders = decoders
        self._memory = memory
        self._batcher: Batcher[PreparedImage, Probabilities] = Batcher(
            self._run, first_of(self._batch_sizes), self._concurrent_runs
        )

    @property
    def waiting(self) -> int:
        """How many decoded images wait for a run in the session."""
        return self._batcher.waiting

    def __call__(self, request: Request) -> tuple[Ranking, StageTimes]:
        """The labels, and the times of the stages.

        Raises RejectedError (nothing was computed), ProblemError and ImageError.
        """
        asked = PredictionRequest.of(request)
        model, turn = take_turn(asked, self._lifecycle)
        classifier = model.classifier
        if classifier is None:
            raise ProblemError(takes_no_images(model))
        args = asked.args
        check_parameters(args, _KNOWN if wanted_signature(args) is None else PARAMETERS)
        top = wanted_labels(args, len(classifier.labels))
        gone = request.environ.get(CLIENT_GONE, lambda: False)
        prepared = self.prepare(classifier, image_bytes(request), turn, gone)
        decoded_s = time.perf_counter()
        try:
            result = self._batcher(prepared, turn.deadline_s)
        except OverdueError:
            raise RejectedError(Rejection.DEADLINE) from None
        timing = StageTimes(
            decode_ms=(decoded_s - turn.began_s) * 1000,
            queue_ms=(turn.began_s - turn.arrived_s + result.queue_s) * 1000,
            infer_ms=result.infer_s * 1000,
            batch=result.batch,
        )
        self._metrics.classified(timing)
        return Ranking(classifier.top(result.row, top), classifier.scores.probabilities), timing

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

    def _run(self, batch: Sequence[PreparedImage]) -> list[Probabilities]:
        return list(self._loaded().run(batch))

    def _batch_sizes(self) -> Sequence[int]:
        return self._loaded().batch_sizes

    def _concurrent_runs(self) -> int:
        return self._loaded().concurrent_runs

    def _loaded(self) -> Classifier:
        classifier = self._lifecycle.classifier
        assert classifier is not None, "images are only prepared once it is loaded"
        return classifier
