"""Predictions on the direct path (wsgi/direct.py): small JSON bodies for a model that takes no images.

They are read, checked and answered by the same functions as in a thread: only Flask is left out, and the run
is not waited for. Whatever fails is answered by Flask.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from tfleet.contract.cors import Cors
from tfleet.contract.names import MODELS_PATH, PREDICT_PATH, REQUEST_ID
from tfleet.contract.problem import ProblemError
from tfleet.contract.request_id import request_id
from tfleet.worker.api.model_routes import NAMED_MODEL, NAMED_VERSION, chosen
from tfleet.worker.api.observer import FORWARDED_FOR, AnsweredRequest, Observer
from tfleet.worker.api.prediction_request import PredictionRequest
from tfleet.worker.api.protocols.native import media_types
from tfleet.worker.api.query import query_args
from tfleet.worker.inference.batch_callers import Delivery, Submission
from tfleet.worker.wsgi.environ import header_texts
from tfleet.worker.wsgi.response import WsgiResponse, made

if TYPE_CHECKING:
    from tfleet.discovery.instance import Instance
    from tfleet.worker.api.model_routes import Predictions
    from tfleet.worker.api.predict import ReadPrediction
    from tfleet.worker.inference.model_session import Tensors
    from tfleet.worker.inference.predictor import RowsAsked
    from tfleet.worker.metrics import WorkerMetrics
    from tfleet.worker.wsgi.direct import DirectRequest, Done, Outcome

_POST: Final = b"POST"
_OK: Final = "200 OK"
_MOST_HEAD_BYTES: Final = 2048
"""A longer Accept header, or query, would take more than a millisecond to read."""


@dataclass(frozen=True, slots=True)
class DirectPrediction:
    """A prediction that was read. `began_s` is when, by `time.perf_counter`."""

    read: ReadPrediction
    headers: dict[str, str]
    request_id: str
    began_s: float


class DirectPredict:
    """The DirectApplication of a worker. `waiting` returns how many requests wait for a thread."""

    def __init__(
        self, predictions: Predictions, metrics: WorkerMetrics, waiting: Callable[[], int], cors: Cors
    ) -> None:
        self._lifecycle = predictions.lifecycle
        self._predict = predictions.predict
        self._observer = Observer(predictions.instance, metrics, lambda: predictions.waiting)
        self._waiting = waiting
        self._cors = cors
        self._rules = rules_of(predictions.instance)

    def takes(self, request: DirectRequest) -> bool:
        """Whether it is a prediction in JSON. Other forms may take long to read, whatever their size."""
        model = self._lifecycle.model
        if model is None or model.classifier is not None:
            return False
        head = request.head
        if head.method != _POST or request.path not in self._rules:
            return False
        if len(head.target) + sum(map(len, head.fields.lines)) > _MOST_HEAD_BYTES:
            return False
        try:
            kind = media_types.body_type(head.content_type.decode("latin-1"), request.body)
        except ProblemError:
            return False
        return kind == media_types.JSON

    def read(self, request: DirectRequest) -> DirectPrediction:
        """Read the inputs. Raises as Predict does."""
        began_s, head = time.perf_counter(), request.head
        headers = header_texts(head)
        asked = PredictionRequest(
            "POST",
            head.query,
            query_args(head.query),
            lambda name: headers.get(name.lower()),
            lambda: request.body,
            request.begun_s,
            request.arrived_s,
        )
        read = self._predict.read(asked, lambda model: chosen(model, None, asked.args))
        return DirectPrediction(read, headers, request_id(headers.get(REQUEST_ID.lower())), began_s)

    def run(self, requests: Sequence[tuple[DirectRequest, DirectPrediction]], done: Done) -> None:
        """Submit them to the model."""
        model = requests[0][1].read.model  # a worker has one
        submissions = [
            Submission(each.read.asked, (request, each), each.read.turn.deadline_s, request.gone)
            for request, each in requests
        ]

        def deliver(deliveries: Sequence[Delivery[RowsAsked, Tensors]]) -> None:
            done([self._outcome(delivery) for delivery in deliveries])

        model.predictor.submit(submissions, deliver)

    def _outcome(self, delivery: Delivery[RowsAsked, Tensors]) -> tuple[DirectRequest, Outcome]:
        request, prediction = delivery.submission.owner
        try:
            return request, self._response(request, prediction, delivery)
        except BaseException as error:  # even a SystemExit of a model's own code is answered
            return request, error

    def _response(
        self, request: DirectRequest, prediction: DirectPrediction, delivery: Delivery[RowsAsked, Tensors]
    ) -> WsgiResponse:
        read, headers = prediction.read, prediction.headers
        body, timing = self._predict.answer(read, lambda: read.model.predictor.result(delivery))
        said = [
            ("Content-Type", body.media_type),
            *self._cors.headers(headers.get("origin")).items(),
            *self._observer.headers(prediction.request_id, self._waiting(), timing),
        ]
        response = made(_OK, said, (body.content,))
        self._observer.note(
            AnsweredRequest(
                request_id=prediction.request_id,
                method="POST",
                path=request.path,
                rule=self._rules[request.path],
                client=headers.get(FORWARDED_FOR.lower(), request.peer),
                began_s=prediction.began_s,
                status=200,
            )
        )
        return response


def rules_of(instance: Instance) -> dict[str, str]:
    """The paths of predictions with the form of each, as the routes have them (model_routes.py).

    They are those that a client mostly sends; other spellings of a name are found by Flask.
    """
    name, version = quote(instance.model, safe=""), quote(instance.version, safe="")
    model = f"{MODELS_PATH}/{name}"
    below = {model: NAMED_MODEL, f"{model}/versions/{version}": NAMED_VERSION}
    return {
        PREDICT_PATH: PREDICT_PATH,
        **below,
        **{f"{path}{PREDICT_PATH}": f"{rule}{PREDICT_PATH}" for path, rule in below.items()},
    }
