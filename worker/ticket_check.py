"""Check the ticket of a request: a worker with ticket keys accepts images and POST /drain only with a
ticket.
"""

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
    """Checks a request by its head. It is called in the event loop's thread, so it reads no file.

    `model` is the worker's, as it registers it: tickets for other models are rejected.
    """

    def __init__(
        self, keys: KeyFile, service: str, model: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._keys = keys
        self._service = service
        self._model = model
        self._clock = clock

    def __repr__(self) -> str:
        return f"<TicketCheck {self._keys!r}>"

    def refresh(self) -> None:
        """Use the keys as they are now. It looks at a file, which may take a while."""
        self._keys.current()

    def __call__(self, header: str | None, query: str) -> Rejection | None:
        """Why a request is rejected, or None.

        `header` is its X-Ticket. Without one, the first `ticket` of the query counts.
        """
        ticket = _ticket_of_query(query) if header is None else header
        fault = check(self._keys.keys, self._service, ticket, self._clock(), self._model)
        return None if fault is None else Rejection(f"ticket-{fault}")


def _ticket_of_query(query: str) -> str | None:
    # Not urllib's parser, which is slow: a ticket has no characters that are escaped.
    fields = (field for field in query.split("&") if field.startswith(_QUERY))
    return next((field.removeprefix(_QUERY) for field in fields), None)
