"""What a classification gives back.

The header Server-Timing, as far as the fleet uses it (https://www.w3.org/TR/server-timing/).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from tfleet.client.errors import FleetError

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Prediction:
    """One label and its probability, 0 to 1."""

    label: str
    probability: float


@dataclass(frozen=True, slots=True)
class Timing:
    """Where a worker's time went, in milliseconds; None where the worker did not say."""

    decode_ms: float | None = None
    queue_ms: float | None = None
    infer_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Classification:
    """What a worker saw in one image.

    `predictions` are best first. `worker` is the id of the one that answered and `model` is `name/version`,
    both empty where nobody said so. `elapsed_ms` is the whole call as the caller saw it: reading, lookups,
    retries. `retries` is how many workers were tried in vain before, by the proxy or in p2p mode by the
    client.
    """

    predictions: tuple[Prediction, ...]
    worker: str
    model: str
    request_id: str
    timing: Timing
    elapsed_ms: float
    retries: int = 0


@dataclass(frozen=True, slots=True)
class Outcome(Generic[S]):
    """What became of one source of classify_many: either `classification` or `error` is there, never both."""

    source: S
    classification: Classification | None = None
    error: FleetError | None = None

    def result(self) -> Classification:
        """The classification; raises the error where there is none."""
        if self.error is not None:
            raise self.error
        assert self.classification is not None
        return self.classification


# `name;dur=1.5`, with other parameters before or after. Names and numbers hold no comma and no semicolon.
_METRIC = re.compile(
    r"""^\s*(?P<name>[\w-]+)\s*(?:;.*?)?;\s*dur\s*=\s*"?(?P<dur>\d+(?:\.\d+)?)"?\s*(?:;|$)"""
)


def parse_server_timing(header: str) -> Timing:
    """Read decode, queue and infer; what is missing or unreadable is None, other metrics are passed over."""
    durations: dict[str, float] = {}
    for metric in header.split(","):
        if match := _METRIC.match(metric):
            durations.setdefault(match["name"], float(match["dur"]))
    return Timing(durations.get("decode"), durations.get("queue"), durations.get("infer"))
