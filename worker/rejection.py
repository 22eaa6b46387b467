"""The reasons for rejecting an image or a drain request."""

from __future__ import annotations

from enum import StrEnum


class Rejection(StrEnum):
    """The reasons; each value is a label of the metric `tfleet_worker_rejected_total`."""

    QUEUE_REQUESTS = "queue-requests"
    QUEUE_BYTES = "queue-bytes"
    INPUT_BYTES = "input-bytes"
    DECODERS_BUSY = "decoders-busy"
    NO_DECODER = "no-decoder"
    DEADLINE = "deadline"
    CLIENT_GONE = "client-gone"
    STARTING = "starting"
    DRAINING = "draining"
    MISDIRECTED = "misdirected"
    TICKET_MISSING = "ticket-missing"
    TICKET_MALFORMED = "ticket-malformed"
    TICKET_WRONG_SIGNATURE = "ticket-wrong-signature"
    TICKET_EXPIRED = "ticket-expired"
    TICKET_TOO_LONG = "ticket-too-long"
