"""Why an attempt at a worker failed."""

from __future__ import annotations


class AttemptFailedError(Exception):
    """The attempt produced no response to pass on. The message is the reason, in a few words.

    `had_body` is whether the worker had received the whole body before it failed: then the body may be the
    cause. `ran_nothing` is whether the worker is known to have computed nothing for the request.
    """

    def __init__(self, reason: str, *, had_body: bool = False, ran_nothing: bool = False) -> None:
        super().__init__(reason)
        self.had_body = had_body
        self.ran_nothing = ran_nothing


class UnreachableError(AttemptFailedError):
    """The worker refused the connection, broke it off, or sent an invalid response."""


class HungUpError(UnreachableError):
    """The worker received the whole body and closed the connection without a byte of a response."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, had_body=True)


class LateError(UnreachableError):
    """The worker timed out; it may be overloaded."""


class StaleConnectionError(AttemptFailedError):
    """A kept connection had ended in the meantime, which says nothing about the worker's health."""


class TicketRefusedError(AttemptFailedError):
    """The worker rejected this proxy's ticket."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, ran_nothing=True)


class DeclinedError(AttemptFailedError):
    """The worker asked for another one to be tried: 503 or 429."""

    def __init__(self, status: int) -> None:
        super().__init__(f"answers {status}", ran_nothing=True)
        self.status = status
