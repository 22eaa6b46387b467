"""Whether a connection reads: not while it is paused, nor while the other connections have their turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class ReadFlow:
    """Pauses and resumes the reading of a transport, for two reasons that don't know of each other."""

    __slots__ = ("_loop", "_paused", "_transport", "_yielded")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._transport: asyncio.Transport | None = None
        self._loop = loop
        self._paused = False
        self._yielded = False

    def __repr__(self) -> str:
        return f"<ReadFlow paused={self._paused} yielded={self._yielded}>"

    def attach(self, transport: asyncio.Transport) -> None:
        """The connection has been made."""
        self._transport = transport

    def detach(self) -> None:
        """The connection has ended."""
        self._transport = None

    def pause(self) -> None:
        """Read nothing until `resume`."""
        self._paused = True
        self._update()

    def resume(self) -> None:
        """Read again."""
        self._paused = False
        self._update()

    def yield_turn(self, go_on: Callable[[], None]) -> None:
        """Read nothing until the event loop has served the other connections; then call `go_on`."""
        if not self._yielded:
            self._yielded = True
            self._update()
            self._loop.call_soon(self._go_on, go_on)

    def _go_on(self, go_on: Callable[[], None]) -> None:
        self._yielded = False
        self._update()
        go_on()

    def _update(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if self._paused or self._yielded:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()
