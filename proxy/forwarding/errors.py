"""Why a try gave nothing that could be passed on."""

from __future__ import annotations


class TryFailedError(Exception):
    """The worker gave nothing that could be passed on. The message is the reason, in a few words.

    `had_body` is that the connection ended, or nothing came, when the worker had been sent all of the body:
    then the reason may be the body as well as the worker.
    """

    def __init__(self, reason: str, *, had_body: bool = False) -> None:
        super().__init__(reason)
        self.had_body = had_body


class UnreachableError(TryFailedError):
    """It refused, broke off, or did not answer in time."""


class HungUpError(UnreachableError):
    """It had all of the body, and ended the connection without a byte of an answer."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, had_body=True)


class LateError(UnreachableError):
    """It did not answer in time, or take the request; that may be because it has too much to do."""


class StaleConnectionError(TryFailedError):
    """A connection kept from an earlier request had ended; the worker may be in the best of health."""


class TicketRefusedError(TryFailedError):
    """It does not let this proxy in."""


class DeclinedError(TryFailedError):
    """It answered that somebody else should do it: 503 or 429."""

    def __init__(self, status: int) -> None:
        super().__init__(f"answers {status}")
        self.status = status
