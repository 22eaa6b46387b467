"""Runs a signature of the model with the inputs of a request, for all models that take no images.

- The inputs are read and the outputs written by the native protocol (protocols/native).
- A model with labels answers with labels, as an image model does, where the answer is JSON and the signature
  is the default one. Other forms and other signatures have the model's own outputs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flask import Request

from tfleet.contract.names import TICKET_QUERY
from tfleet.contract.problem import Problem, ProblemError
from tfleet.worker.api.input_budget import InputBudget
from tfleet.worker.api.labels import label_rows
from tfleet.worker.api.problems import RejectedError
from tfleet.worker.api.protocols.native import (
    DecodedInputs,
    InputLimits,
    answer_type,
    decode,
    decode_query,
    encode,
    media_types,
)
from tfleet.worker.api.query import PARAMETERS, SIGNATURE, TOP, check_parameters, query_pairs, wanted_labels
from tfleet.worker.api.turn import take_turn
from tfleet.worker.api.upload import check_encoding
from tfleet.worker.inference.batcher import OverdueError
from tfleet.worker.inference.errors import BadInputError, OversizedRunError
from tfleet.worker.lifecycle import Lifecycle
from tfleet.worker.memory import MemoryTrimmer
from tfleet.worker.metrics import StageTimes, WorkerMetrics
from tfleet.worker.rejection import Rejection

if TYPE_CHECKING:
    from tfleet.worker.inference.class_scores import ClassScores
    from tfleet.worker.inference.loaded_model import LoadedModel
    from tfleet.worker.model.signature import Signature

_READS_QUERY: Final = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True)
class PredictionBody:
    """An answer's body and its media type."""

    content: bytes
    media_type: str


class Predict:
    """Answers requests for predictions from tables, text and tensors, and measures their stages."""

    def __init__(
        self,
        lifecycle: Lifecycle,
        metrics: WorkerMetrics,
        max_body_bytes: int,
        budget: InputBudget,
        memory: MemoryTrimmer,
    ) -> None:
        self._lifecycle = lifecycle
        self._metrics = metrics
        self._limits = InputLimits.of(max_body_bytes, budget.reserve)
        self._budget = budget
        self._memory = memory

    @property
    def waiting(self) -> int:
        """How many requests, whose inputs are decoded, wait for a run in the session."""
        model = self._lifecycle.model
        return 0 if model is None else model.predictor.waiting

    def __call__(
        self, request: Request, choose: Callable[[LoadedModel], Signature]
    ) -> tuple[PredictionBody, StageTimes]:
        """The answer, and the times of the stages. `choose` picks the signature, and may raise ProblemError.

        Raises RejectedError (nothing was computed) and ProblemError.
        """
        try:
            return self._answer(request, choose)
        finally:
            self._budget.release()

    def _answer(
        self, request: Request, choose: Callable[[LoadedModel], Signature]
    ) -> tuple[PredictionBody, StageTimes]:
        model, turn = take_turn(request, self._lifecycle)
        signature = choose(model)
        media_type = answer_type(request.headers.get("Accept"))
        has_labels = signature.name == model.session.default and media_type == media_types.JSON
        scores = model.scores if has_labels else None
        top = self._checked_query(request, scores)
        decoded = self._decoded(model, signature, request)
        self._limits.check_labels(decoded.rows, top)
        decoded_s = time.perf_counter()
        try:
            found = model.predictor(
                signature.name,
                decoded.inputs,
                rows=None if decoded.whole else decoded.rows,
                deadline_s=turn.deadline_s,
            )
        except OverdueError:
            raise RejectedError(Rejection.DEADLINE) from None
        except OversizedRunError as error:
            raise ProblemError(Problem(413, str(error))) from error
        except BadInputError as error:
            raise ProblemError(Problem(400, str(error))) from error
        timing = StageTimes(
            decode_ms=(decoded_s - turn.began_s) * 1000,
            queue_ms=(turn.began_s - turn.arrived_s + found.queue_s) * 1000,
            infer_ms=found.infer_s * 1000,
            batch=found.batch,
        )
        self._metrics.classified(timing)
        self._limits.check_outputs(sum(array.nbytes for array in found.outputs.values()))
        if scores is not None:
            (output,) = found.outputs.values()
            return PredictionBody(
                label_rows(output, scores, top, one_row=decoded.one_row), media_type
            ), timing
        content = encode(found.outputs, decoded, media_type, signature, self._limits)
        return PredictionBody(content, media_type), timing

    def _checked_query(self, request: Request, scores: ClassScores | None) -> int:
        """How many labels are wanted; 0 of an answer without labels."""
        if scores is None and TOP in request.args:
            raise ProblemError(
                Problem(400, f"?{TOP}= is the number of labels, and this answer has none: leave it out")
            )
        if request.method not in _READS_QUERY:
            check_parameters(request.args, {SIGNATURE, TICKET_QUERY} if scores is None else PARAMETERS)
        return 0 if scores is None else wanted_labels(request.args, len(scores.labels))

    def _decoded(self, model: LoadedModel, signature: Signature, request: Request) -> DecodedInputs:
        # The names of a table's columns are those of the default signature's input.
        columns = model.facts.columns.value if signature.name == model.session.default else ()
        if request.method in _READS_QUERY:
            pairs = [pair for pair in query_pairs(request.query_string) if pair[0] not in PARAMETERS]
            return decode_query(pairs, signature, columns, self._limits, PARAMETERS)
        check_encoding(request)
        body = request.get_data(cache=False)
        self._memory.note(len(body))
        return decode(body, request.headers.get("Content-Type"), signature, columns, self._limits)
