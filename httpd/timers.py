"""The clocks that end slow clients. All times are in seconds of the event loop's clock.

- `Deadline`: one timer a connection. A slow head (408) and an idle connection are ended by it: connection.py
  sets it.
- `SlowSenderWatch`: a body that stops, or drips.
- `SlowReaderWatch`: a client that takes nothing of a response.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

BODY_TIMEOUT_S: Final = 30.0
"""How long a body may pause, and how long a slow one may take at the least."""

BODY_BYTES_PER_S: Final = 1024
"""Each of so many bytes of a body gives it a second more."""


class Deadline:
    """Calls `expired` once the time that was set last has come.

    Almost every byte puts it off, so setting it costs nothing: a timer that was armed for too early a time
    stays, and is armed anew when it fires.
    """

    __slots__ = ("_armed_s", "_expired", "_loop", "_timer", "_when_s")

    def __init__(self, loop: asyncio.AbstractEventLoop, expired: Callable[[], None]) -> None:
        self._loop = loop
        self._expired = expired
        self._when_s: float | None = None
        self._armed_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Deadline at {self._when_s}>"

    def set(self, when_s: float | None) -> None:
        """Expire then, and not at any time that was set before. None: not at all."""
        self._when_s = when_s
        if when_s is None or (self._timer is not None and self._armed_s <= when_s):
            return
        self.cancel()
        self._arm(when_s)

    def cancel(self) -> None:
        """Give up the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, when_s: float) -> None:
        self._armed_s = when_s
        self._timer = self._loop.call_at(when_s, self._fired)

    def _fired(self) -> None:
        self._timer = None
        if self._when_s is None:
            return
        if self._loop.time() < self._when_s:
            self._arm(self._when_s)
        else:
            self._when_s = None
            self._expired()


class SlowReaderWatch:
    """Whether a client still takes what was sent to it, judged by what is left unsent.

    However slowly it does, it may go on; a client that takes nothing for `timeout_s` is given up.
    """

    __slots__ = ("_since_s", "_timeout_s", "_unsent_bytes")

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._unsent_bytes = 0
        self._since_s = 0.0

    def begin(self, unsent_bytes: int, now_s: float) -> None:
        """From now on there is nothing but this to be taken."""
        self._unsent_bytes, self._since_s = unsent_bytes, now_s

    def goes_on(self, unsent_bytes: int, now_s: float) -> bool:
        """Whether it is worth waiting; never where all of it has been taken."""
        if unsent_bytes < self._unsent_bytes:
            self.begin(unsent_bytes, now_s)
        return unsent_bytes > 0 and now_s - self._since_s < self._timeout_s


class SlowSenderWatch:
    """Until when a client may go on sending a body, for who reads all of it before anything else happens.

    A body may pause for `timeout_s`. All of it may take as long, and a second more for each `bytes_per_s`
    bytes that have come: one that drips is ended, a large one on a slow line is not.
    """

    __slots__ = ("_began_s", "_bytes_per_s", "_last_s", "_received_bytes", "_timeout_s")

    def __init__(self, timeout_s: float, bytes_per_s: float, now_s: float) -> None:
        self._timeout_s = timeout_s
        self._bytes_per_s = bytes_per_s
        self._began_s = self._last_s = now_s
        self._received_bytes = 0

    @property
    def due_s(self) -> float:
        """When it is to be ended, unless more comes until then."""
        earned_s = self._received_bytes / self._bytes_per_s
        return self._timeout_s + min(self._last_s, self._began_s + earned_s)

    def received(self, count: int, now_s: float) -> None:
        """So many bytes have come."""
        self._received_bytes += count
        self._last_s = now_s
