"""Classifies the image of a request: checks it, decodes the image, runs the model, and ranks the labels.

Unknown query parameters are rejected: if `?topn=1` were ignored, the client would not notice its mistake.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from flask import Request
from werkzeug.datastructures import MultiDict

from tfleet.contract.names import DEFAULT_TOP, REQUEST_TIMEOUT_MS, TICKET_QUERY, whole_number
from tfleet.contract.problem import Problem, ProblemError
from tfleet.worker.api.problems import RejectedError
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
from tfleet.worker.inference.batcher import Batcher, OverdueError, first_of
from tfleet.worker.lifecycle import Lifecycle
from tfleet.worker.memory import MemoryTrimmer
from tfleet.worker.metrics import StageTimes, WorkerMetrics
from tfleet.worker.rejection import Rejection
from tfleet.worker.wsgi.environ import ARRIVED, BEGUN, CLIENT_GONE, REJECTED

if TYPE_CHECKING:
    from tfleet.worker.inference import Classifier, PreparedImage, Probabilities

_TOP: Final = "top"
# `ticket` may occur twice: a proxy that redirects puts its own before the client's. TicketCheck reads the
# first.
_KNOWN: Final = frozenset({_TOP, TICKET_QUERY})
_MAX_NAMED: Final = 3
_MAX_CHARS: Final = 20


def wanted_labels(query: MultiDict[str, str], classes: int) -> int:
    """The number of labels to answer with: `?top=N`, 1 to `classes`; by default 5, or all if there are fewer.

    Raises ProblemError (400) for any other value or parameter.
    """
    _check_names(query)
    asked = query.getlist(_TOP)
    if not asked:
        return min(DEFAULT_TOP, classes)
    if len(asked) > 1:
        raise ProblemError(Problem(400, f"?{_TOP}= occurs {len(asked)} times: send it once"))
    top = whole_number(asked[0])
    if not top or top > classes:
        detail = (
            f"?{_TOP}= is {asked[0][:_MAX_CHARS]!r}, not a number from 1 to {classes}, the model's classes"
        )
        raise ProblemError(Problem(400, detail))
    return top


def _check_names(query: MultiDict[str, str]) -> None:
    unknown = sorted(query.keys() - _KNOWN)
    if not unknown:
        return
    named = ", ".join(repr(name[:_MAX_CHARS]) for name in unknown[:_MAX_NAMED])
    more = f" and {len(unknown) - _MAX_NAMED} more" if len(unknown) > _MAX_NAMED else ""
    raise ProblemError(
        Problem(400, f"unknown query parameter {named}{more}: the only one is {_TOP}, as in ?{_TOP}=5")
    )


Ranking = Sequence[tuple[str, float]]
"""Labels with their probabilities, best first."""


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
        metrics.waiting.set_function(lambda: self.waiting)

    @property
    def waiting(self) -> int:
        """How many decoded images wait for a run in the session."""
        return self._batcher.waiting

    def __call__(self, request: Request) -> tuple[Ranking, StageTimes]:
        """Return the labels and the times of the stages.

        Raises RejectedError (nothing was computed), ProblemError and ImageError.
        """
        began_s = time.perf_counter()
        # The cheap reasons to reject come first: an overloaded worker must spend nothing on what it rejects.
        if self._lifecycle.refuses(request.environ.get(BEGUN, began_s)):
            raise RejectedError(Rejection.DRAINING)
        classifier = self._lifecycle.classifier
        if classifier is None:
            raise RejectedError(Rejection.STARTING)
        rejection: Rejection | None = request.environ.get(REJECTED)
        if rejection is not None:
            raise RejectedError(rejection)
        arrived_s = request.environ.get(ARRIVED, began_s)
        deadline_s = _deadline_s(request, arrived_s)
        if began_s >= deadline_s:
            raise RejectedError(Rejection.DEADLINE)
        top = wanted_labels(request.args, len(classifier.labels))
        prepared = self._prepare(classifier, request, arrived_s, deadline_s)
        decoded_s = time.perf_counter()
        try:
            result = self._batcher(prepared, deadline_s)
        except OverdueError:
            raise RejectedError(Rejection.DEADLINE) from None
        timing = StageTimes(
            decode_ms=(decoded_s - began_s) * 1000,
            queue_ms=(began_s - arrived_s + result.queue_s) * 1000,
            infer_ms=result.infer_s * 1000,
            batch=result.batch,
        )
        self._metrics.classified(timing)
        return classifier.top(result.row, top), timing

    def _prepare(
        self, classifier: Classifier, request: Request, arrived_s: float, deadline_s: float
    ) -> PreparedImage:
        body = image_bytes(request)
        self._memory.note(len(body))
        isolated = isolated_decoder(
            self._decoders, arrived_s, deadline_s, request.environ.get(CLIENT_GONE, lambda: False)
        )
        try:
            return classifier.prepare(body, self._limits, isolated)
        except DecodersBusyError:
            raise RejectedError(Rejection.DECODERS_BUSY) from None
        except NoDecoderError:
            raise RejectedError(Rejection.NO_DECODER) from None
        except DecodeOverdueError:
            raise RejectedError(Rejection.DEADLINE) from None
        except CallerGoneError:
            raise RejectedError(Rejection.CLIENT_GONE) from None

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


def _deadline_s(request: Request, arrived_s: float) -> float:
    """The deadline of a request by `time.perf_counter`; infinite if it names none. Raises ProblemError
    (400).
    """
    asked = request.headers.get(REQUEST_TIMEOUT_MS)
    if asked is None:
        return math.inf
    asked_ms = whole_number(asked)
    if not asked_ms:
        raise ProblemError(
            Problem(400, f"{REQUEST_TIMEOUT_MS}: {asked[:20]!r} is not a number of milliseconds above 0")
        )
    return arrived_s + asked_ms / 1000
