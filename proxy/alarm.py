"""A time at which to look again. Almost every byte puts it off, so that has to cost nothing."""

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
