"""Decides whether a request that needs the model gets it, from what is known before its body is read.

An overloaded worker must spend nothing on what it rejects, so the cheap reasons come first.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tfleet.contract.names import REQUEST_TIMEOUT_MS, whole_number
from tfleet.contract.problem import Problem, ProblemError
from tfleet.worker.api.problems import RejectedError
from tfleet.worker.lifecycle import Lifecycle
from tfleet.worker.rejection import Rejection

if TYPE_CHECKING:
    from tfleet.worker.api.prediction_request import PredictionRequest
    from tfleet.worker.inference.loaded_model import LoadedModel


@dataclass(frozen=True, slots=True)
class Turn:
    """A request's turn: when its body was complete, when a thread began with it, and until when it has an
    answer, all by `time.perf_counter`. The deadline is infinite if it names none.
    """

    arrived_s: float
    began_s: float
    deadline_s: float


def check_wanted(turn: Turn, gone: Callable[[], bool]) -> None:
    """Raise RejectedError after the deadline, and where the client has left."""
    if time.perf_counter() >= turn.deadline_s:
        raise RejectedError(Rejection.DEADLINE)
    if gone():
        raise RejectedError(Rejection.CLIENT_GONE)


def take_turn(request: PredictionRequest, lifecycle: Lifecycle) -> tuple[LoadedModel, Turn]:
    """The model, and the request's turn with it.

    Raises RejectedError, and ProblemError (400) for a deadline that is no number.
    """
    began_s = time.perf_counter()
    if lifecycle.refuses(began_s if request.begun_s is None else request.begun_s):
        raise RejectedError(Rejection.DRAINING)
    model = lifecycle.model
    if model is None:
        raise RejectedError(Rejection.STARTING)
    if request.rejection is not None:
        raise RejectedError(request.rejection)
    arrived_s = began_s if request.arrived_s is None else request.arrived_s
    deadline_s = _deadline_s(request, arrived_s)
    if began_s >= deadline_s:
        raise RejectedError(Rejection.DEADLINE)
    return model, Turn(arrived_s, began_s, deadline_s)


def _deadline_s(request: PredictionRequest, arrived_s: float) -> float:
    asked = request.header(REQUEST_TIMEOUT_MS)
    if asked is None:
        return math.inf
    asked_ms = whole_number(asked)
    if not asked_ms:
        raise ProblemError(
            Problem(400, f"{REQUEST_TIMEOUT_MS}: {asked[:20]!r} is not a number of milliseconds above 0")
        )
    return arrived_s + asked_ms / 1000
