"""A time at which to look again. Almost every byte puts it off, so that has to cost nothing.

Whether a client still takes what was sent to it, however slowly.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Alarm:
    """Calls `ring` once the time that was set last has come. Times are those of the loop's clock.

    A timer that is set for too early a time stays, and is set anew when it goes off.
    """

    __slots__ = ("_armed_s", "_loop", "_ring", "_timer", "_when_s")

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop = loop
        self._ring = ring
        self._when_s: float | None = None
        self._armed_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Alarm at {self._when_s}>"

    def set(self, when_s: float | None) -> None:
        """Ring then, and not at any time that was set before. None: not at all."""
        self._when_s = when_s
        if when_s is None or (self._timer is not None and self._armed_s <= when_s):
            return
        self.end()
        self._arm(when_s)

    def end(self) -> None:
        """Give up the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, when_s: float) -> None:
        self._armed_s = when_s
        self._timer = self._loop.call_at(when_s, self._goes_off)

    def _goes_off(self) -> None:
        self._timer = None
        if self._when_s is None:
            return
        if self._loop.time() < self._when_s:
            self._arm(self._when_s)
        else:
            self._when_s = None
            self._ring()


class Taking:
    """Judges by what is left unsent, on the caller's clock. Nothing taken for `patience_s` is the end."""

    __slots__ = ("_patience_s", "_since_s", "_unsent_bytes")

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._unsent_bytes = 0
        self._since_s = 0.0

    def begin(self, unsent_bytes: int, now_s: float) -> None:
        """From now on there is nothing but this to be taken."""
        self._unsent_bytes, self._since_s = unsent_bytes, now_s

    def goes_on(self, unsent_bytes: int, now_s: float) -> bool:
        """Whether it is worth waiting; never where all of it has been taken."""
        if unsent_bytes < self._unsent_bytes:
            self.begin(unsent_bytes, now_s)
        return unsent_bytes > 0 and now_s - self._since_s < self._patience_s
