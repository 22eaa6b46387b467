"""The Python client and the commands that use it."""

from tfleet.client.async_client import AsyncFleetClient
from tfleet.client.errors import (
    BadImageError,
    BusyError,
    DeadlineExceededError,
    FleetError,
    FleetUnavailableError,
    TryLaterError,
    UnexpectedAnswerError,
    WorkerFailedError,
)
from tfleet.client.proxies.addresses import BadProxyError
from tfleet.client.results import Classification, Outcome, Prediction, Timing
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
    "Outcome",
    "Prediction",
    "Timing",
    "TryLaterError",
    "UnexpectedAnswerError",
    "WorkerFailedError",
    "WorkerStatus",
]
