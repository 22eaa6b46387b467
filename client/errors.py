"""What can go wrong with a call, named for what the caller will do about it.

Every one of them is a FleetError, and each message is one line that can be shown to a user as it is. A wrong
argument (a negative time-out, text instead of bytes, a closed client) is no matter of the fleet's: it raises
ValueError, TypeError or RuntimeError.
"""

from __future__ import annotations


class FleetError(Exception):
    """A call to the fleet failed.

    `status` is the HTTP status of the answer, None where there was none. `request_id` is the name under
    which the logs of proxy and worker have the request, None where none was sent.
    """

    def __init__(self, message: str, *, status: int | None = None, request_id: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.request_id = request_id


class BadImageError(FleetError):
    """Do not send this image again: the fleet refused it (4xx), or could not be read (`status` None)."""


class TryLaterError(FleetError):
    """The same call may well succeed later: in `retry_after_s` seconds, None where nobody said."""

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
    """The fleet is alive and has too much to do (429): send slower."""


class FleetUnavailableError(TryLaterError):
    """Nothing can be reached (`status` None), or no worker is there (503)."""


class WorkerFailedError(FleetError):
    """A worker failed at this request (500, 502, an answer cut short): sending it once more may help."""


class DeadlineExceededError(FleetError):
    """No answer in `timeout_s` (`status` None), or the fleet gave up in time to say so (504, 408)."""


class UnexpectedAnswerError(FleetError):
    """What answered does not speak as a tfleet proxy or worker does: check the address."""
