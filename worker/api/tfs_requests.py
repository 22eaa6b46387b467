"""Runs a signature for a request of TensorFlow Serving's REST API (protocols/tfs).

As there, a body may give a vector where the signature states a matrix, if the model computes its values one
by one (model/by_value.py). An image model takes images as `{"b64": ...}`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tfleet.contract.problem import Problem, ProblemError
from tfleet.worker.api.image_tensors import ImageTensors, image_input
from tfleet.worker.api.protocols.content_encoding import inflated
from tfleet.worker.api.protocols.tfs.examples import EXAMPLES, decode_examples, read_examples
from tfleet.worker.api.protocols.tfs.predict_input import decode_predict, read_predict
from tfleet.worker.api.protocols.tfs.predict_output import encode_predict
from tfleet.worker.api.protocols.tfs.results import (
    check_classifies,
    check_regresses,
    encode_classes,
    encode_values,
)
from tfleet.worker.api.signature_runs import SignatureRuns, ask
from tfleet.worker.api.turn import Turn, take_turn
from tfleet.worker.inference.errors import UnknownSignatureError
from tfleet.worker.metrics import StageTimes

if TYPE_CHECKING:
    from tfleet.worker.api.prediction_request import PredictionRequest
    from tfleet.worker.api.protocols.limits import InputLimits
    from tfleet.worker.inference.loaded_model import LoadedModel
    from tfleet.worker.inference.model_session import Tensors
    from tfleet.worker.model.signature import Signature

Gone = Callable[[], bool]
"""Whether the client has left."""


@dataclass(frozen=True, slots=True)
class TfsRequests:
    """Answers requests, and measures their stages.

    All methods return the body of the answer and the times of the stages. They raise RejectedError (nothing
    was computed), ProblemError and ImageError.
    """

    runs: SignatureRuns
    images: ImageTensors

    def predict(self, request: PredictionRequest, gone: Gone) -> tuple[bytes, StageTimes]:
        """`:predict`."""
        try:
            return self._predict(request, gone)
        finally:
            self.runs.budget.release()

    def classify(self, request: PredictionRequest) -> tuple[bytes, StageTimes]:
        """`:classify`."""
        return self._examples(request, check_classifies, encode_classes)

    def regress(self, request: PredictionRequest) -> tuple[bytes, StageTimes]:
        """`:regress`."""
        return self._examples(request, check_regresses, encode_values)

    def _predict(self, request: PredictionRequest, gone: Gone) -> tuple[bytes, StageTimes]:
        model, turn = take_turn(request, self.runs.lifecycle)
        limits = self.runs.limits
        document = read_predict(self._body(request), limits)
        signature = _signature(model, document.signature_name)
        images_in = image_input(model, signature)
        decoded = decode_predict(document, signature, limits, images_in)
        inputs: Tensors = decoded.inputs
        if images_in is not None:
            inputs = self.images.prepared(model, inputs, images_in, turn, gone)
        outputs, timing = self._run(model, signature, inputs, decoded.rows or None, turn)
        return encode_predict(outputs, limits, by_row=decoded.by_row), timing

    def _examples(
        self,
        request: PredictionRequest,
        check: Callable[[Signature], None],
        encode: Callable[[Tensors, int, InputLimits], bytes],
    ) -> tuple[bytes, StageTimes]:
        try:
            model, turn = take_turn(request, self.runs.lifecycle)
            document = read_examples(self._body(request), self.runs.limits)
            signature = _signature(model, document.signature_name)
            check(signature)
            inputs = decode_examples(document, signature, self.runs.limits)
            count = len(document.members[EXAMPLES])
            outputs, timing = self._run(model, signature, inputs, count, turn)
            return encode(outputs, count, self.runs.limits), timing
        finally:
            self.runs.budget.release()

    def _body(self, request: PredictionRequest) -> bytes:
        body = inflated(request.body(), request.header("Content-Encoding"), self.runs.limits)
        self.runs.memory.note(len(body))
        return body

    def _run(
        self, model: LoadedModel, signature: Signature, inputs: Tensors, rows: int | None, turn: Turn
    ) -> tuple[Tensors, StageTimes]:
        decoded_s = time.perf_counter()
        asked = ask(model, signature, inputs, rows, any_shape=True)
        found, timing = self.runs.outcome(
            lambda: model.predictor.run(asked, turn.deadline_s), turn, decoded_s, rows or 1
        )
        return found.outputs, timing


def _signature(model: LoadedModel, name: str | None) -> Signature:
    try:
        return model.session.signature(name)
    except UnknownSignatureError as error:
        raise ProblemError(Problem(400, str(error))) from error
