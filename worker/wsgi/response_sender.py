"""Sends a large answer in slices, no faster than its client reads.

Sent in one piece, what the client has not taken would be copied into its connection's buffer: with some slow
clients, many times the answer. And the loop would copy it all at once, while other connections wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final

from tfleet.httpd.interfaces import Client
from tfleet.httpd.timers import SlowReaderWatch

_SLICES_A_TURN: Final = 4
"""Then the other connections have their turn: about a megabyte, which is less than a millisecond."""

_LOOK_S: Final = 2.0
"""How often it is checked whether a client that has to be waited for still reads."""


class ResponseSender:
    """Sends the slices of one answer and finishes it. Only the event loop's thread may call its methods."""

    __slots__ = ("_client", "_keep", "_loop", "_slices", "_slow_reader", "_stopped")

    def __init__(
        self,
        client: Client,
        slices: Iterator[bytes],
        loop: asyncio.AbstractEventLoop,
        reader_timeout_s: float,
        *,
        keep: bool,
    ) -> None:
        self._client = client
        self._slices = slices
        self._loop = loop
        self._slow_reader = SlowReaderWatch(reader_timeout_s)
        self._keep = keep
        self._stopped = False

    def go_on(self) -> None:
        """Send as much as the client takes now. Called at first, and when it takes more."""
        client = self._client
        for _ in range(_SLICES_A_TURN):
            if self._stopped:
                return
            if client.write_paused:
                self._slow_reader.begin(client.unsent_bytes(), self._loop.time())
                client.wake_at(self._loop.time() + _LOOK_S)
                return
            part = next(self._slices, None)
            if part is None:
                self._stopped = True
                client.finish(keep=self._keep)
                return
            client.send(part)
        self._loop.call_soon(self.go_on)

    def on_deadline(self) -> None:
        """End the connection if the client has read nothing for too long."""
        client, now_s = self._client, self._loop.time()
        if self._stopped or not client.write_paused:
            return
        if self._slow_reader.goes_on(client.unsent_bytes(), now_s):
            client.wake_at(now_s + _LOOK_S)
        else:
            self._stopped = True
            client.abort()

    def stop(self) -> None:
        """The client has gone."""
        self._stopped = True
