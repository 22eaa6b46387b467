"""Which clients may send images, and end the worker: any or, where it has keys, those that have a ticket."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from tfleet.contract.names import TICKET_QUERY
from tfleet.contract.ticket import check
from tfleet.contract.ticket_keys import KeyFile
from tfleet.worker.rejection import Rejection

_QUERY: Final = f"{TICKET_QUERY}="


class TicketCheck:
    """Judges a request by its head. Called in the thread of the event loop, so it reads no file."""

    def __init__(self, keys: KeyFile, service: str, clock: Callable[[], float] = time.time) -> None:
        self._keys = keys
        self._service = service
        self._clock = clock

    def __repr__(self) -> str:
        return f"<TicketCheck {self._keys!r}>"

    def refresh(self) -> None:
        """Use the keys as they are now. It looks at a file, which may take a while."""
        self._keys.current()

    def __call__(self, header: str | None, query: str) -> Rejection | None:
        """Why a request may not come in, if it may not.

        `header` is its X-Ticket. Where it has none the first `ticket` of its query counts.
        """
        ticket = _queried(query) if header is None else header
        fault = check(self._keys.keys, self._service, ticket, self._clock())
        return None if fault is None else Rejection(f"ticket-{fault}")


def _queried(query: str) -> str | None:
    # No parser: that of a whole query is dear, and a ticket has nothing that would be quoted.
    fields = (field for field in query.split("&") if field.startswith(_QUERY))
    return next((field.removeprefix(_QUERY) for field in fields), None)
