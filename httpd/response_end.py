"""What is left to do after a response: the client takes the rest of it, and may still send its body."""

from __future__ import annotations

from typing import Final

from tfleet.httpd.linger import Linger
from tfleet.httpd.timers import Deadline, SlowReaderWatch

_LOOK_EVERY_S: Final = 2.0


class ResponseEnd(SlowReaderWatch):
    """Sets the connection's deadline from the end of a response until the next request, or the end.

    `begin` it when the handler has sent all of the response; the client may not have taken all yet.
    """

    __slots__ = ("_deadline", "_linger")

    def __init__(self, deadline: Deadline, idle_timeout_s: float) -> None:
        super().__init__(idle_timeout_s)
        self._deadline = deadline
        self._linger: Linger | None = None

    def linger(self, now_s: float, *, draining: bool) -> None:
        """The client may still send: from now on that is discarded. `draining` is whether the server is."""
        self._linger = Linger(now_s, draining=draining)
        self._deadline.set(self._linger.due_s)

    def discarded(self, count: int, now_s: float) -> bool:
        """`count` bytes were discarded. Returns whether the connection may go on."""
        linger = self._linger
        if linger is None:
            return True
        linger.received(count, now_s)
        self._deadline.set(linger.due_s)
        return not linger.too_much

    def waits_for_reader(self, unsent_bytes: int, now_s: float) -> bool:
        """Whether the client still takes the response, though the deadline has passed."""
        waits = self.goes_on(unsent_bytes, now_s)
        if waits:
            self._deadline.set(now_s + _LOOK_EVERY_S)
        return waits
