"""Why a try gave nothing that could be passed on."""

from __future__ import annotations


class TryFailedError(Exception):
    """The worker gave nothing that could be passed on. The message is the reason, in a few words."""


class UnreachableError(TryFailedError):
    """It refused, broke off, or did not answer in time."""


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
