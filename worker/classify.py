"""From a request to the labels of its image."""

from __future__ import annotations

import time
from collections.abc import Sequence

from flask import Request

from tfleet.discovery.contract import DEFAULT_TOP
from tfleet.discovery.number import whole_number
from tfleet.discovery.problem import Problem
from tfleet.worker.http.channel import ARRIVED, BEGUN
from tfleet.worker.image.limits import ImageLimits
from tfleet.worker.lifecycle import Lifecycle
from tfleet.worker.metrics import Metrics
from tfleet.worker.problems import DRAINING, STARTING, ProblemError
from tfleet.worker.timing import Timing
from tfleet.worker.upload import image_bytes

Ranking = Sequence[tuple[str, float]]
"""Labels with their probabilities, best first."""


class Classify:
    """Classifies the image of a request, with the times that it took."""

    def __init__(self, lifecycle: Lifecycle, metrics: Metrics, limits: ImageLimits) -> None:
        self._lifecycle = lifecycle
        self._metrics = metrics
        self._limits = limits

    def __call__(self, request: Request) -> tuple[Ranking, Timing]:
        """Raises ProblemError and ImageError."""
        began_s = time.perf_counter()
        if self._lifecycle.refuses(request.environ.get(BEGUN, began_s)):
            raise ProblemError(DRAINING)
        classifier = self._lifecycle.classifier
        if classifier is None:
            raise ProblemError(STARTING)
        top = _top(request, len(classifier.spec.labels))
        prepared = classifier.prepare(image_bytes(request), self._limits)
        decoded_s = time.perf_counter()
        probabilities = classifier.run([prepared])[0]
        timing = Timing(
            decode_ms=(decoded_s - began_s) * 1000,
            queue_ms=(began_s - request.environ.get(ARRIVED, began_s)) * 1000,
            infer_ms=(time.perf_counter() - decoded_s) * 1000,
        )
        self._metrics.classified(timing)
        return classifier.top(probabilities, top), timing


def _top(request: Request, classes: int) -> int:
    """`?top=N`, 1 or more; more than there are classes means all. Raises ProblemError with 400."""
    asked = request.args.get("top")
    if asked is None:
        return min(DEFAULT_TOP, classes)
    top = whole_number(asked)
    if not top:
        raise ProblemError(Problem(400, f"?top={asked[:20]} is not a number from 1 to {classes}"))
    return min(top, classes)
