"""Runs a signature of the model with the inputs of a request, for all models that take no images.

- The inputs are read and the outputs written by the native protocol (protocols/native).
- A model with labels answers with labels, as an image model does, where the answer is JSON and the signature
  is the default one. Other forms and other signatures have the model's own outputs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from tfleet.contract.names import TICKET_QUERY
from tfleet.contract.problem import Problem, ProblemError
from tfleet.worker.api.labels import label_rows
from tfleet.worker.api.protocols.native import (
    DecodedInputs,
    answer_type,
    check_reserved,
    decode,
    decode_query,
    encode,
    media_types,
)
from tfleet.worker.api.query import PARAMETERS, SIGNATURE, TOP, check_parameters, query_pairs, wanted_labels
from tfleet.worker.api.read_prediction import PredictionBody, ReadPrediction
from tfleet.worker.api.signature_runs import SignatureRuns, ask
from tfleet.worker.api.turn import Turn, take_turn
from tfleet.worker.api.upload import check_encoding

if TYPE_CHECKING:
    from tfleet.worker.api.prediction_request import PredictionRequest
    from tfleet.worker.inference.class_scores import ClassScores
    from tfleet.worker.inference.loaded_model import LoadedModel
    from tfleet.worker.inference.model_session import Tensors
    from tfleet.worker.model.signature import Signature

_READS_QUERY: Final = frozenset({"GET", "HEAD"})


class Predict:
    """Reads requests for predictions from tables, text and tensors."""

    def __init__(self, runs: SignatureRuns) -> None:
        self.runs = runs

    @property
    def waiting(self) -> int:
        """How many requests, whose inputs are decoded, wait for a run in the session."""
        model = self.runs.lifecycle.model
        return 0 if model is None else model.predictor.waiting

    def read(self, request: PredictionRequest, choose: Callable[[LoadedModel], Signature]) -> ReadPrediction:
        """What a request asks. `choose` picks the signature, and may raise ProblemError.

        Raises RejectedError (nothing was computed) and ProblemError.
        """
        model, turn = take_turn(request, self.runs.lifecycle)
        signature = self._chosen(model, request, choose)
        media_type = answer_type(request.header("Accept"))
        has_labels = signature.name == model.session.default and media_type == media_types.JSON
        scores = model.scores if has_labels else None
        top = self._checked_query(request, scores)
        decoded = self._decoded(model, signature, request, turn)
        limits = self.runs.limits
        limits.check_labels(decoded.rows, top)
        decoded_s = time.perf_counter()
        asked = ask(model, signature, decoded.inputs, None if decoded.whole else decoded.rows)

        def encoded(outputs: Tensors) -> PredictionBody:
            if scores is None:
                return PredictionBody(encode(outputs, decoded, media_type, signature, limits), media_type)
            (output,) = outputs.values()
            return PredictionBody(label_rows(output, scores, top, one_row=decoded.one_row), media_type)

        return ReadPrediction(model, asked, turn, decoded_s, decoded.rows, encoded)

    def _chosen(
        self, model: LoadedModel, request: PredictionRequest, choose: Callable[[LoadedModel], Signature]
    ) -> Signature:
        """The signature. A query that means columns by the names of parameters is told so.

        Otherwise it would hear of a signature or a number of labels that it never asked for.
        """
        if request.method not in _READS_QUERY:
            return choose(model)
        try:
            signature = choose(model)
        except ProblemError:
            if SIGNATURE in request.args and model.session.default is not None:
                _check_columns(model, model.session.signature(), request)
            raise
        _check_columns(model, signature, request)
        return signature

    def _checked_query(self, request: PredictionRequest, scores: ClassScores | None) -> int:
        """How many labels are wanted; 0 of an answer without labels."""
        args = request.args
        if scores is None and TOP in args:
            raise ProblemError(
                Problem(400, f"?{TOP}= is the number of labels, and this answer has none: leave it out")
            )
        if request.method not in _READS_QUERY:
            check_parameters(args, {SIGNATURE, TICKET_QUERY} if scores is None else PARAMETERS)
        return 0 if scores is None else wanted_labels(args, len(scores.labels))

    def _decoded(
        self, model: LoadedModel, signature: Signature, request: PredictionRequest, turn: Turn
    ) -> DecodedInputs:
        columns = _columns(model, signature)
        if request.method in _READS_QUERY:
            pairs = [pair for pair in query_pairs(request.query) if pair[0] not in PARAMETERS]
            return decode_query(pairs, signature, columns, self.runs.limits, PARAMETERS)
        check_encoding(request.header("Content-Encoding"))
        body = request.body()
        self.runs.memory.note(len(body))
        content_type = request.header("Content-Type")
        text_bytes = len(body) if media_types.is_text(content_type, body) else 0
        with self.runs.large_json.turn(text_bytes, turn.deadline_s):
            return decode(body, content_type, signature, columns, self.runs.limits)


def _columns(model: LoadedModel, signature: Signature) -> tuple[str, ...]:
    """The names of a table's columns: those of the default signature's input."""
    return model.facts.columns.value if signature.name == model.session.default else ()


def _check_columns(model: LoadedModel, signature: Signature, request: PredictionRequest) -> None:
    names = _columns(model, signature) or [info.name for info in signature.inputs]
    check_reserved(names, request.args, PARAMETERS)
