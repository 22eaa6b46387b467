"""Why an image is not looked at."""

from __future__ import annotations

from enum import StrEnum


class Rejection(StrEnum):
    """The reasons; each value is the label of a metric."""

    QUEUE_REQUESTS = "queue-requests"
    QUEUE_BYTES = "queue-bytes"
    DEADLINE = "deadline"
    CLIENT_GONE = "client-gone"
    STARTING = "starting"
    DRAINING = "draining"
