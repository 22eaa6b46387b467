"""Reads an inference request of the Open Inference Protocol (protocols/oip), and writes its answer.

An image model takes images as well: BYTES for its image input are decoded as those of `POST /predict` are.
Numbers for that input go into the model as they are. Of the query only `signature` is read: Triton matches
the path alone, and its clients may send parameters of their own.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tfleet.contract.names import JSON_LENGTH
from tfleet.worker.api.classify import Classify
from tfleet.worker.api.image_tensors import ImageTensors, SentImages, image_input
from tfleet.worker.api.model_routes import chosen
from tfleet.worker.api.protocols.content_encoding import inflated
from tfleet.worker.api.protocols.oip.classification import Classes
from tfleet.worker.api.protocols.oip.codec import decode_infer
from tfleet.worker.api.protocols.oip.framing import json_length
from tfleet.worker.api.protocols.oip.response import AnsweringModel, InferAnswer, check_outputs, encode_answer
from tfleet.worker.api.protocols.oip.tensors import rows_sent
from tfleet.worker.api.read_prediction import PredictionBody, ReadPrediction, compressed_for
from tfleet.worker.api.signature_runs import SignatureRuns, ask
from tfleet.worker.api.turn import take_turn
from tfleet.worker.inference.rows import maps_rows

if TYPE_CHECKING:
    from tfleet.discovery.instance import Instance
    from tfleet.worker.api.prediction_request import PredictionRequest
    from tfleet.worker.inference.loaded_model import LoadedModel
    from tfleet.worker.inference.model_session import Tensors
    from tfleet.worker.model.signature import Signature

Gone = Callable[[], bool]
"""Whether the client has left."""


@dataclass(frozen=True, slots=True)
class Infer:
    """Reads inference requests."""

    instance: Instance
    runs: SignatureRuns
    classify: Classify

    def read(self, request: PredictionRequest, gone: Gone) -> ReadPrediction:
        """What a request asks. Raises RejectedError (nothing was computed), ProblemError and ImageError."""
        runs = self.runs
        model, turn = take_turn(request, runs.lifecycle)
        signature = chosen(model, None, request.args)
        body = inflated(request.body(), request.header("Content-Encoding"), runs.limits)
        runs.memory.note(len(body))
        runs.limits.reserve(len(body))
        images_in = image_input(model, signature)
        length = request.header(JSON_LENGTH)
        with runs.large_json.turn(json_length(length, len(body)), turn.deadline_s):
            decoded = decode_infer(body, length, signature, runs.limits, images_in)
        wanted, inputs = decoded.wanted, decoded.inputs
        if signature.name != model.session.default or model.predictor.postprocess is None:
            check_outputs(wanted, [info.name for info in signature.outputs])
        if images_in is not None:
            sent = SentImages(images_in, inputs, lone=_takes_one(signature, images_in))
            inputs = ImageTensors(runs, self.classify).prepared(model.classifier, sent, turn, gone)
        decoded_s = time.perf_counter()
        rows = rows_sent(inputs, signature, runs.limits)
        asked = ask(model, signature, inputs, rows)
        served = AnsweringModel(
            self.instance.model,
            self.instance.version,
            Classes(_labels(model, signature), by_row=maps_rows(signature)),
        )
        accepted = request.header("Accept-Encoding")

        def encoded(outputs: Tensors) -> PredictionBody:
            return compressed_for(_body(encode_answer(outputs, wanted, served, runs.limits)), accepted)

        return ReadPrediction(model, asked, turn, decoded_s, rows or 1, encoded)


def _body(answer: InferAnswer) -> PredictionBody:
    length = () if answer.json_bytes is None else ((JSON_LENGTH, str(answer.json_bytes)),)
    return PredictionBody(answer.content, answer.media_type, length)


def _takes_one(signature: Signature, name: str) -> bool:
    """Whether the input is one string, which holds an image: it has no rows."""
    info = signature.input(name)
    return info is not None and info.dtype == "string" and info.shape == ()


def _labels(model: LoadedModel, signature: Signature) -> tuple[str, ...]:
    """The labels of the classes; none where they are only numbers, or of another signature."""
    scores = model.scores
    if scores is None or signature.name != model.session.default:
        return ()
    return () if scores.labels == tuple(map(str, range(len(scores.labels)))) else scores.labels
