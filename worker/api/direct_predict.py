"""Predictions on the direct path (wsgi/direct.py): small bodies for a model that takes no images.

They are read, checked and answered by the same functions as in a thread (direct_routes.py): only Flask is
left out, and the run is not waited for. Whatever fails is answered by Flask.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tfleet.contract.cors import Cors
from tfleet.contract.names import REQUEST_ID
from tfleet.contract.request_id import request_id
from tfleet.worker.api.direct_routes import direct_routes
from tfleet.worker.api.observer import FORWARDED_FOR, AnsweredRequest, Observer
from tfleet.worker.api.prediction_request import PredictionRequest
from tfleet.worker.api.query import query_args
from tfleet.worker.inference.batch_callers import Delivery, Submission
from tfleet.worker.wsgi.environ import header_texts
from tfleet.worker.wsgi.response import WsgiResponse, made

if TYPE_CHECKING:
    from tfleet.worker.api.model_routes import Predictions
    from tfleet.worker.api.read_prediction import ReadPrediction
    from tfleet.worker.inference.model_session import Tensors
    from tfleet.worker.inference.predictor import RowsAsked
    from tfleet.worker.metrics import WorkerMetrics
    from tfleet.worker.wsgi.direct import DirectRequest, Done, Outcome

_POST: Final = b"POST"
_OK: Final = "200 OK"
_MOST_HEAD_BYTES: Final = 2048
"""A longer Accept header, or query, would take more than a millisecond to read."""
_ENCODING: Final = b"content-encoding:"


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
        self._runs = predictions.predict.runs
        self._observer = Observer(predictions.instance, metrics, lambda: predictions.waiting)
        self._waiting = waiting
        self._cors = cors
        self._routes = direct_routes(predictions)

    def takes(self, request: DirectRequest) -> bool:
        """Whether it is a prediction that is read quickly, whatever it holds. Compressed ones are not."""
        model = self._lifecycle.model
        if model is None or model.classifier is not None:
            return False
        head, route = request.head, self._routes.get(request.path)
        if route is None or head.method != _POST:
            return False
        lines = head.fields.lines
        if len(head.target) + sum(map(len, lines)) > _MOST_HEAD_BYTES:
            return False
        if any(line[: len(_ENCODING)].lower() == _ENCODING for line in lines):
            return False
        return route.takes(request)

    def read(self, request: DirectRequest) -> DirectPrediction:
        """Read the inputs. Raises as SignatureRuns.read does."""
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
        read = self._runs.read(lambda: self._routes[request.path].read(asked))
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
        body, timing = self._runs.answer(read, lambda: read.model.predictor.result(delivery))
        said = [
            *body.headers,
            *self._cors.headers(headers.get("origin")).items(),
            *self._observer.headers(prediction.request_id, self._waiting(), timing),
        ]
        response = made(_OK, said, (body.content,))
        self._observer.note(
            AnsweredRequest(
                request_id=prediction.request_id,
                method="POST",
                path=request.path,
                rule=self._routes[request.path].rule,
                client=headers.get(FORWARDED_FOR.lower(), request.peer),
                began_s=prediction.began_s,
                status=200,
            )
        )
        return response
