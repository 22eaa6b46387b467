"""The client's exceptions, one for each reaction of the caller.

All are FleetErrors. Each message is one line that can be shown to a user. A wrong argument (a negative
timeout, text instead of bytes) or the use of a closed client raises ValueError, TypeError or RuntimeError
instead.
"""

from __future__ import annotations


class FleetError(Exception):
    """A call to the fleet failed.

    `status` is the HTTP status of the answer; None if there was none. `request_id` identifies the request in
    the logs of proxy and worker; None if none was sent.
    """

    def __init__(self, message: str, *, status: int | None = None, request_id: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.request_id = request_id


class BadImageError(FleetError):
    """The fleet rejected the image (4xx), or it could not be read (`status` None): do not send it again."""


class RejectedInputError(FleetError):
    """The model does not take the inputs (4xx), or they can't be sent (`status` None): do not send them
    again.
    """


class TryLaterError(FleetError):
    """The same call may succeed later: in `retry_after_s` seconds, or None if the answer did not say when."""

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        request_id: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, status=status, request_id=request_id)
        self.retry_after_s = retry_after_s


class BusyError(TryLaterError):
    """The fleet is overloaded (429): send more slowly."""


class FleetUnavailableError(TryLaterError):
    """The fleet can't be reached (`status` None), or has no worker (503)."""


class WorkerFailedError(FleetError):
    """A worker failed to process the request (500, 502, an incomplete answer): a retry may help."""


class DeadlineExceededError(FleetError):
    """No answer within `timeout_s` (`status` None), or the fleet reported a timeout (504, 408)."""


class UnexpectedAnswerError(FleetError):
    """The answer is not that of a tfleet proxy or worker: check the address."""
