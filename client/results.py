"""The results of calls, with the timing from the Server-Timing header."""

from __future__ import annotations

import re
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from tfleet.client.errors import FleetError

S = TypeVar("S")

# `name;dur=1.5`, with other parameters before or after. Names and numbers contain no comma and no semicolon.
# See https://www.w3.org/TR/server-timing/.
_METRIC = re.compile(
    r"""^\s*(?P<name>[\w-]+)\s*(?:;.*?)?;\s*dur\s*=\s*"?(?P<dur>\d+(?:\.\d+)?)"?\s*(?:;|$)"""
)


@dataclass(frozen=True, slots=True)
class Prediction:
    """One label and its `probability`, 0 to 1, or its `score` where the model gives no probabilities. The
    other one is None.
    """

    label: str
    probability: float | None
    score: float | None = None

    @property
    def value(self) -> float:
        """The probability or the score."""
        return next(value for value in (self.probability, self.score, 0.0) if value is not None)


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a worker's stages took, in milliseconds; None if the worker did not report it."""

    decode_ms: float | None = None
    queue_ms: float | None = None
    infer_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Classification:
    """The predictions for one image, best first.

    `worker` is the id of the worker that answered and `model` is `name/version`; both are empty if the answer
    did not say. `elapsed_ms` is the duration of the whole call with reading, lookups and retries. `retries`
    is the number of failed attempts before, by the proxy or, in p2p mode, by the client.
    """

    predictions: tuple[Prediction, ...]
    worker: str
    model: str
    request_id: str
    timing: Timing
    elapsed_ms: float
    retries: int = 0


@dataclass(frozen=True, slots=True)
class ImageVector:
    """The vector of one image: float32 numbers, in an array.array that `numpy.asarray` takes without a copy.

    Only vectors of the same `space` can be compared; it is a digest of the model and of how it was asked. The
    other fields are those of Classification.
    """

    vector: array[float] = field(repr=False)
    space: str
    worker: str
    model: str
    request_id: str
    timing: Timing
    elapsed_ms: float
    retries: int = 0


@dataclass(frozen=True, slots=True)
class RowResult:
    """What a model answers to one row: its `outputs` by name, or `predictions`, best first, if it has labels.

    The other one is empty.
    """

    outputs: Mapping[str, Any] = field(default_factory=dict)
    predictions: tuple[Prediction, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """What a model answers to a request.

    `outputs` are by name, and `predictions` are there for a model with labels: for one row those of this row,
    for several rows one tuple for each of them. The other one is empty. The other fields are those of
    Classification.
    """

    outputs: Mapping[str, Any]
    predictions: tuple[Prediction, ...] | tuple[tuple[Prediction, ...], ...]
    worker: str
    model: str
    request_id: str
    timing: Timing
    elapsed_ms: float
    retries: int = 0


@dataclass(frozen=True, slots=True)
class Outcome(Generic[S]):
    """The result for one source of classify_many: either a `classification` or an `error`."""

    source: S
    classification: Classification | None = None
    error: FleetError | None = None

    def result(self) -> Classification:
        """The classification; raises the error if there is none."""
        if self.error is not None:
            raise self.error
        assert self.classification is not None
        return self.classification


@dataclass(frozen=True, slots=True)
class VectorOutcome(Generic[S]):
    """The result for one source of embed_many: either an `embedding` or an `error`."""

    source: S
    embedding: ImageVector | None = None
    error: FleetError | None = None

    def result(self) -> ImageVector:
        """The vector; raises the error if there is none."""
        if self.error is not None:
            raise self.error
        assert self.embedding is not None
        return self.embedding


def parse_server_timing(header: str) -> Timing:
    """Read decode, queue and infer; a missing or invalid value is None, other metrics are ignored."""
    durations: dict[str, float] = {}
    for metric in header.split(","):
        if match := _METRIC.match(metric):
            durations.setdefault(match["name"], float(match["dur"]))
    return Timing(durations.get("decode"), durations.get("queue"), durations.get("infer"))
