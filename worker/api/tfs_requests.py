"""Reads a request of TensorFlow Serving's REST API (protocols/tfs), and writes its answer.

As there, a body may give a vector where the signature states a matrix, if the model computes its values one
by one (model/by_value.py). An image model takes images as `{"b64": ...}`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tfleet.contract.problem import Problem, ProblemError
from tfleet.contract.tfs_paths import TfsAction
from tfleet.worker.api.image_tensors import ImageTensors, SentImages, image_input
from tfleet.worker.api.protocols.content_encoding import inflated
from tfleet.worker.api.protocols.tfs.document import SIGNATURE_NAME
from tfleet.worker.api.protocols.tfs.examples import EXAMPLES, decode_examples, read_examples
from tfleet.worker.api.protocols.tfs.predict_input import TfsInputs, decode_predict, read_predict
from tfleet.worker.api.protocols.tfs.predict_output import encode_predict
from tfleet.worker.api.protocols.tfs.results import (
    check_classifies,
    check_regresses,
    encode_classes,
    encode_values,
)
from tfleet.worker.api.read_prediction import PredictionBody, ReadPrediction, compressed_for
from tfleet.worker.api.signature_runs import SignatureRuns, ask
from tfleet.worker.api.turn import check_wanted, take_turn
from tfleet.worker.inference.errors import UnknownSignatureError

if TYPE_CHECKING:
    from tfleet.worker.api.prediction_request import PredictionRequest
    from tfleet.worker.api.protocols.limits import InputLimits
    from tfleet.worker.inference.loaded_model import LoadedModel
    from tfleet.worker.inference.model_session import Tensors
    from tfleet.worker.model.signature import Signature

_JSON: Final = "application/json"

Gone = Callable[[], bool]
"""Whether the client has left."""


@dataclass(frozen=True, slots=True)
class TfsRequests:
    """Reads requests. All methods raise RejectedError (nothing was computed), ProblemError and ImageError."""

    runs: SignatureRuns
    images: ImageTensors

    def read(self, action: TfsAction, request: PredictionRequest, gone: Gone) -> ReadPrediction:
        """What a request asks; `action` is the last part of its path."""
        if action is TfsAction.CLASSIFY:
            return self._examples(request, gone, check_classifies, encode_classes)
        if action is TfsAction.REGRESS:
            return self._examples(request, gone, check_regresses, encode_values)
        return self.predict(request, gone)

    def predict(self, request: PredictionRequest, gone: Gone) -> ReadPrediction:
        """What a request for `:predict` asks."""
        model, turn = take_turn(request, self.runs.lifecycle)
        limits = self.runs.limits
        body = self._body(request)
        with self.runs.large_json.turn(len(body), turn.deadline_s):
            signature, images_in, decoded = _decoded(body, model, limits)
        rows, by_row = decoded.rows or None, decoded.by_row
        inputs: Tensors = decoded.inputs
        if images_in is not None:
            sent = SentImages(images_in, inputs, lone=not by_row)
            inputs = self.images.prepared(model.classifier, sent, turn, gone)
        decoded_s = time.perf_counter()
        asked = ask(model, signature, inputs, rows, any_shape=True)
        accepted = request.header("Accept-Encoding")

        def encoded(outputs: Tensors) -> PredictionBody:
            body = PredictionBody(encode_predict(outputs, limits, by_row=by_row), _JSON)
            return compressed_for(body, accepted)

        return ReadPrediction(model, asked, turn, decoded_s, rows or 1, encoded)

    def _examples(
        self,
        request: PredictionRequest,
        gone: Gone,
        check: Callable[[Signature], None],
        encode: Callable[[Tensors, int, InputLimits], bytes],
    ) -> ReadPrediction:
        model, turn = take_turn(request, self.runs.lifecycle)
        limits = self.runs.limits
        body = self._body(request)
        with self.runs.large_json.turn(len(body), turn.deadline_s):
            document = read_examples(body, limits)
            signature = _signature(model, document.signature_name)
            check(signature)
            inputs = decode_examples(document, signature, limits, lambda: check_wanted(turn, gone))
            count = len(document.members[EXAMPLES])
        decoded_s = time.perf_counter()
        asked = ask(model, signature, inputs, count, any_shape=True)
        accepted = request.header("Accept-Encoding")

        def encoded(outputs: Tensors) -> PredictionBody:
            return compressed_for(PredictionBody(encode(outputs, count, limits), _JSON), accepted)

        return ReadPrediction(model, asked, turn, decoded_s, count, encoded)

    def _body(self, request: PredictionRequest) -> bytes:
        body = inflated(request.body(), request.header("Content-Encoding"), self.runs.limits)
        self.runs.memory.note(len(body))
        return body


def _decoded(body: bytes, model: LoadedModel, limits: InputLimits) -> tuple[Signature, str | None, TfsInputs]:
    """The signature that a body names, its input that takes images, and its inputs."""
    document = read_predict(body, limits)
    signature = _signature(model, document.signature_name)
    images_in = image_input(model, signature)
    return signature, images_in, decode_predict(document, signature, limits, images_in)


def _signature(model: LoadedModel, name: str | None) -> Signature:
    try:
        return model.session.signature(name)
    except UnknownSignatureError as error:
        where = f" in {SIGNATURE_NAME!r}" if name is None else ""
        raise ProblemError(Problem(400, f"{error}{where}")) from error
