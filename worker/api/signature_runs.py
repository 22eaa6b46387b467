"""Runs a signature for a request, whatever the protocol in which it came.

A protocol reads the inputs from the body (read_prediction.py) and writes the outputs. Between the two all of
them do the same: they ask the predictor, wait for the run within the deadline, and measure the stages.

`answered` takes a request from its body to its answer. A caller that does not wait for the run does the same
in two parts: `read`, and `answer` for what came of the run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tfleet.contract.problem import Problem, ProblemError
from tfleet.worker.api.input_budget import InputBudget
from tfleet.worker.api.large_json import LargeJson
from tfleet.worker.api.problems import RejectedError
from tfleet.worker.api.protocols.limits import InputLimits
from tfleet.worker.inference.batch_callers import CallerLeftError, OverdueError
from tfleet.worker.inference.errors import BadInputError, OversizedRunError
from tfleet.worker.lifecycle import Lifecycle
from tfleet.worker.memory import MemoryTrimmer
from tfleet.worker.metrics import StageTimes, WorkerMetrics
from tfleet.worker.rejection import Rejection

if TYPE_CHECKING:
    from tfleet.worker.api.read_prediction import PredictionBody, ReadPrediction
    from tfleet.worker.inference.loaded_model import LoadedModel
    from tfleet.worker.inference.model_session import Tensors
    from tfleet.worker.inference.predictor import RowsAsked, SignatureResult
    from tfleet.worker.model.signature import Signature


@dataclass(frozen=True, slots=True)
class SignatureRuns:
    """What all protocols share of a worker. `limits` reserve from the `budget`, which a request releases when
    its answer is written. Large bodies of text are read in a turn of `large_json`.
    """

    lifecycle: Lifecycle
    metrics: WorkerMetrics
    limits: InputLimits
    budget: InputBudget
    memory: MemoryTrimmer
    large_json: LargeJson = field(default_factory=LargeJson)

    def answered(self, read: Callable[[], ReadPrediction]) -> tuple[PredictionBody, StageTimes]:
        """The answer, and the times of the stages. `read` reads the request.

        Raises RejectedError (nothing was computed), ProblemError, and what `read` raises.
        """
        try:
            found = read()
            return self.answer(found, lambda: found.model.predictor.run(found.asked, found.turn.deadline_s))
        finally:
            self.budget.release()

    def read(self, read: Callable[[], ReadPrediction]) -> ReadPrediction:
        """Everything up to the run, for a small body: what its inputs take is not counted after that.

        Raises as `answered` does.
        """
        try:
            return read()
        finally:
            self.budget.release()

    def answer(
        self, read: ReadPrediction, outcome: Callable[[], SignatureResult]
    ) -> tuple[PredictionBody, StageTimes]:
        """The answer, and the times of the stages. `outcome` returns what came of the run, or raises it.

        Raises as `answered` does.
        """
        found = _outcome(outcome)
        turn = read.turn
        timing = StageTimes(
            decode_ms=(read.decoded_s - turn.began_s) * 1000,
            queue_ms=(turn.began_s - turn.arrived_s + found.queue_s) * 1000,
            infer_ms=found.infer_s * 1000,
            batch=found.batch,
            rows=read.rows,
        )
        self.metrics.classified(timing)
        self.limits.check_outputs(sum(array.nbytes for array in found.outputs.values()))
        return read.encode(found.outputs), timing


def _outcome(outcome: Callable[[], SignatureResult]) -> SignatureResult:
    try:
        return outcome()
    except OverdueError:
        raise RejectedError(Rejection.DEADLINE) from None
    except CallerLeftError:
        raise RejectedError(Rejection.CLIENT_GONE) from None
    except OversizedRunError as error:
        raise ProblemError(Problem(413, str(error))) from error
    except BadInputError as error:
        raise ProblemError(Problem(400, str(error))) from error


def ask(
    model: LoadedModel, signature: Signature, inputs: Tensors, rows: int | None, *, any_shape: bool = False
) -> RowsAsked:
    """What the predictor runs. `rows` is None for what must not run with others. With `any_shape` a
    signature that computes its values one by one takes other shapes than it states.

    Raises ProblemError (400).
    """
    try:
        return model.predictor.ask(signature.name, inputs, rows=rows, any_shape=any_shape)
    except BadInputError as error:
        raise ProblemError(Problem(400, str(error))) from error
