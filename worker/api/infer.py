"""Runs a signature for an inference request of the Open Inference Protocol (protocols/oip).

An image model takes images as well: BYTES for its image input are decoded as those of `POST /predict` are.
Numbers for that input go into the model as they are.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tfleet.contract.names import JSON_LENGTH, TICKET_QUERY
from tfleet.worker.api.classify import Classify
from tfleet.worker.api.image_tensors import ImageTensors, image_input
from tfleet.worker.api.model_routes import chosen
from tfleet.worker.api.protocols.content_encoding import inflated
from tfleet.worker.api.protocols.oip.codec import decode_infer
from tfleet.worker.api.protocols.oip.response import AnsweringModel, InferAnswer, check_outputs, encode_answer
from tfleet.worker.api.protocols.oip.tensors import rows_of
from tfleet.worker.api.query import SIGNATURE, check_parameters
from tfleet.worker.api.signature_runs import SignatureRuns, ask
from tfleet.worker.api.turn import take_turn
from tfleet.worker.metrics import StageTimes

if TYPE_CHECKING:
    from tfleet.discovery.instance import Instance
    from tfleet.worker.api.prediction_request import PredictionRequest
    from tfleet.worker.inference.loaded_model import LoadedModel
    from tfleet.worker.model.signature import Signature

Gone = Callable[[], bool]
"""Whether the client has left."""


@dataclass(frozen=True, slots=True)
class Infer:
    """Answers inference requests, and measures their stages."""

    instance: Instance
    runs: SignatureRuns
    classify: Classify

    def __call__(self, request: PredictionRequest, gone: Gone) -> tuple[InferAnswer, StageTimes]:
        """The answer, not compressed yet, and the times of the stages.

        Raises RejectedError (nothing was computed), ProblemError and ImageError.
        """
        try:
            return self._answer(request, gone)
        finally:
            self.runs.budget.release()

    def _answer(self, request: PredictionRequest, gone: Gone) -> tuple[InferAnswer, StageTimes]:
        runs = self.runs
        model, turn = take_turn(request, runs.lifecycle)
        check_parameters(request.args, {SIGNATURE, TICKET_QUERY})
        signature = chosen(model, None, request.args)
        body = inflated(request.body(), request.header("Content-Encoding"), runs.limits)
        runs.memory.note(len(body))
        runs.limits.reserve(len(body))
        images_in = image_input(model, signature)
        decoded = decode_infer(body, request.header(JSON_LENGTH), signature, runs.limits, images_in)
        if signature.name != model.session.default or model.predictor.postprocess is None:
            check_outputs(decoded.request, [info.name for info in signature.outputs])
        inputs = decoded.inputs
        if images_in is not None:
            inputs = ImageTensors(runs, self.classify).prepared(model, inputs, images_in, turn, gone)
        decoded_s = time.perf_counter()
        rows = rows_of(inputs, signature, runs.limits)
        asked = ask(model, signature, inputs, rows)
        found, timing = runs.outcome(
            lambda: model.predictor.run(asked, turn.deadline_s), turn, decoded_s, rows or 1
        )
        served = AnsweringModel(self.instance.model, self.instance.version, _labels(model, signature))
        return encode_answer(found.outputs, decoded.request, served, runs.limits), timing


def _labels(model: LoadedModel, signature: Signature) -> tuple[str, ...]:
    """The labels of the classes; none where they are only numbers, or of another signature."""
    scores = model.scores
    if scores is None or signature.name != model.session.default:
        return ()
    return () if scores.labels == tuple(map(str, range(len(scores.labels)))) else scores.labels
