"""Signs the tickets that workers require: for clients with each lookup, and for forwarded requests.

A model's ticket is signed at most once a second, so that it costs a request nothing, and is valid for its
full lifetime.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from tfleet.contract.ticket import LIFETIME_S, TicketKeys, mint
from tfleet.contract.ticket_keys import KeyFile

_LOOK_EVERY_S: Final = 1.0
_MAX_KEPT: Final = 1000
"""Names of models come from the registry: of more, tickets are signed again within the second."""


class TicketIssuer:
    """Signs tickets; without keys there are none."""

    def __init__(self, keys: KeyFile | None, service: str, clock: Callable[[], float] = time.time) -> None:
        self._key_file = keys
        self._service = service
        self._clock = clock
        self._tickets: dict[str, str] = {}
        """The current ones, by model."""
        self._signed_with: tuple[TicketKeys, int] | None = None

    def __repr__(self) -> str:
        return f"<TicketIssuer {self._key_file!r}>"

    @property
    def has_no_keys(self) -> bool:
        """Whether there are no keys, and so no tickets."""
        return self._key_file is None

    def current(self, model: str = "") -> str | None:
        """Return a ticket for the workers of a model, valid for about LIFETIME_S; None without keys.

        Without a model it is for any worker of the service.
        """
        if self._key_file is None:
            return None
        made_with = (self._key_file.keys, int(self._clock()))
        if made_with != self._signed_with or len(self._tickets) > _MAX_KEPT:
            self._signed_with = made_with
            self._tickets.clear()
        ticket = self._tickets.get(model)
        if ticket is None:
            keys, now_s = made_with
            ticket = self._tickets[model] = mint(keys, self._service, now_s + LIFETIME_S, model)
        return ticket

    async def run(self) -> None:
        """Reload the key file when it changes. Runs until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            if self._key_file is not None:
                await asyncio.to_thread(self._key_file.current)
