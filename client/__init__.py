"""The Python client and the commands that use it."""

from tfleet.client.async_client import AsyncFleetClient
from tfleet.client.errors import (
    BadImageError,
    BusyError,
    DeadlineExceededError,
    FleetError,
    FleetUnavailableError,
    RejectedInputError,
    TryLaterError,
    UnexpectedAnswerError,
    WorkerFailedError,
)
from tfleet.client.proxies.addresses import BadProxyError
from tfleet.client.results import (
    Classification,
    ImageVector,
    ModelAnswer,
    Outcome,
    Prediction,
    RowResult,
    Timing,
    VectorOutcome,
)
from tfleet.client.sync_client import FleetClient
from tfleet.client.worker_status import WorkerStatus

__all__ = [
    "AsyncFleetClient",
    "BadImageError",
    "BadProxyError",
    "BusyError",
    "Classification",
    "DeadlineExceededError",
    "FleetClient",
    "FleetError",
    "FleetUnavailableError",
    "ImageVector",
    "ModelAnswer",
    "Outcome",
    "Prediction",
    "RejectedInputError",
    "RowResult",
    "Timing",
    "TryLaterError",
    "UnexpectedAnswerError",
    "VectorOutcome",
    "WorkerFailedError",
    "WorkerStatus",
]
