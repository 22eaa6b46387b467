"""Gives the tickets that workers ask for: to clients with each address, and for what the proxy forwards.

A ticket is made once a second at most, so that it costs a request nothing, and is still good for all of its
time when it is given.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from tfleet.contract.ticket import LIFETIME_S, TicketKeys, mint
from tfleet.contract.ticket_keys import KeyFile

_LOOK_EVERY_S: Final = 1.0


class TicketIssuer:
    """Where it has no keys, there are no tickets."""

    def __init__(self, keys: KeyFile | None, service: str, clock: Callable[[], float] = time.time) -> None:
        self._file = keys
        self._service = service
        self._clock = clock
        self._ticket = ""
        self._made_with: tuple[TicketKeys, int] | None = None

    def __repr__(self) -> str:
        return f"<TicketIssuer {self._file!r}>"

    @property
    def closed(self) -> bool:
        """Whether there are no tickets."""
        return self._file is None

    def current(self) -> str | None:
        """A ticket for any worker of the service, good for about LIFETIME_S; None where there are none."""
        if self._file is None:
            return None
        made_with = (self._file.keys, int(self._clock()))
        if made_with != self._made_with:
            self._made_with = made_with
            keys, now_s = made_with
            self._ticket = mint(keys, self._service, now_s + LIFETIME_S)
        return self._ticket

    async def run(self) -> None:
        """Look after the keys, for ever."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            if self._file is not None:
                await asyncio.to_thread(self._file.current)
