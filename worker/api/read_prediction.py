"""A request for a prediction that was read, and the body of its answer, whatever the protocol.

Each protocol reads its requests to a ReadPrediction. How that runs is the same for all: signature_runs.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tfleet.worker.api.protocols.accept_encoding import encoded

if TYPE_CHECKING:
    from tfleet.worker.api.turn import Turn
    from tfleet.worker.inference.loaded_model import LoadedModel
    from tfleet.worker.inference.model_session import Tensors
    from tfleet.worker.inference.predictor import RowsAsked


@dataclass(frozen=True, slots=True)
class PredictionBody:
    """An answer's body, its media type, and what else its headers say of it."""

    content: bytes
    media_type: str
    more_headers: tuple[tuple[str, str], ...] = ()

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The headers that describe the body."""
        return [("Content-Type", self.media_type), *self.more_headers]


def compressed_for(body: PredictionBody, accepted: str | None) -> PredictionBody:
    """The body as it is sent for this `Accept-Encoding`."""
    content, coding = encoded(body.content, accepted)
    if coding is None:
        return body
    return PredictionBody(content, body.media_type, (*body.more_headers, ("Content-Encoding", coding)))


@dataclass(frozen=True, slots=True)
class ReadPrediction:
    """A request that has its turn and whose inputs are read and checked: it can run.

    `decoded_s` is when it was read, by `time.perf_counter`. `rows` is how many it counts for in the metrics.
    `encode` makes the answer's body of the outputs, and raises ProblemError where it can't. It lives as long
    as the run, so it must not keep the lists of a JSON document.
    """

    model: LoadedModel
    asked: RowsAsked
    turn: Turn
    decoded_s: float
    rows: int
    encode: Callable[[Tensors], PredictionBody]
