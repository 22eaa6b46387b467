"""Deadlines that end slow clients. All times are in seconds of the event loop's clock.

- `Deadline`: one timer a connection. A slow head (408) and an idle connection are ended by it: connection.py
  sets it.
- `SlowSenderWatch`: a body that pauses, or comes too slowly.
- `SlowReaderWatch`: a client that reads nothing of a response.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

BODY_TIMEOUT_S: Final = 30.0
"""How long a body may pause. A whole body may always take at least as long."""

BODY_BYTES_PER_S: Final = 1024
"""A body gets one more second for each 1024 bytes received."""


class Deadline:
    """Calls `expired` when the deadline that was set last has passed.

    Almost every received byte sets it again, so setting is cheap: a timer that is armed for an earlier time
    stays, and is armed again when it fires.
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
        """Set the deadline; None for none. It replaces the one that was set before."""
        self._when_s = when_s
        if when_s is None or (self._timer is not None and self._armed_s <= when_s):
            return
        self.cancel()
        self._arm(when_s)

    def cancel(self) -> None:
        """Cancel the timer."""
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
    """Whether a client still reads its response: whether the bytes left unsent become fewer.

    A slow reader may go on; one that reads nothing for `timeout_s` is given up.
    """

    __slots__ = ("_since_s", "_timeout_s", "_unsent_bytes")

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._unsent_bytes = 0
        self._since_s = 0.0

    def begin(self, unsent_bytes: int, now_s: float) -> None:
        """Start watching `unsent_bytes`."""
        self._unsent_bytes, self._since_s = unsent_bytes, now_s

    def goes_on(self, unsent_bytes: int, now_s: float) -> bool:
        """Whether to go on waiting for the client; False once everything was sent."""
        if unsent_bytes < self._unsent_bytes:
            self.begin(unsent_bytes, now_s)
        return unsent_bytes > 0 and now_s - self._since_s < self._timeout_s


class SlowSenderWatch:
    """The deadline for receiving a whole body before it is used.

    A body has `timeout_s`. Each `bytes_per_s` bytes add a second, but never so that more than `timeout_s` is
    left: a body of a byte a second is ended, also one that began with a burst, and a large one on a slow line
    is not.
    """

    __slots__ = ("_bytes_per_s", "_timeout_s", "due_s")

    def __init__(self, timeout_s: float, bytes_per_s: float, now_s: float) -> None:
        self._timeout_s = timeout_s
        self._bytes_per_s = bytes_per_s
        self.due_s = now_s + timeout_s
        """When the body is late, unless more of it arrives before."""

    def received(self, count: int, now_s: float) -> None:
        """`count` bytes were received."""
        # Without the minimum, a burst of 14 MiB at 16 KiB/s would pay for a quarter of an hour of silence.
        self.due_s = min(now_s + self._timeout_s, self.due_s + count / self._bytes_per_s)
