"""How long a connection is read after its last response: nginx's lingering_close.

A client may still be sending its body when it is refused. A connection that is closed with unread bytes is
reset by the system, and the client may lose the response. So what comes is read and discarded:

- for as long as the client goes on sending, and 5 s after its last bytes (nginx: `lingering_timeout`);
- for at most 30 s (nginx: `lingering_time`);
- for at most 2 s while the server drains: its end should not wait for clients that were refused;
- at most 64 MiB, which nginx does not limit: a body of the default `--max-body-bytes`, and as much again. A
  fast client could send gigabytes in 30 s.
"""

from __future__ import annotations

from typing import Final

from tfleet.contract.names import MAX_BODY_BYTES

_SILENCE_S: Final = 5.0
_TOTAL_S: Final = 30.0
DRAINING_S: Final = 2.0
_MAX_BYTES: Final = 2 * MAX_BODY_BYTES


class Linger:
    """Decides when to close. Times are in seconds of the event loop's clock."""

    __slots__ = ("_ends_s", "_last_s", "_received_bytes")

    def __init__(self, now_s: float, *, draining: bool) -> None:
        self._ends_s = now_s + (DRAINING_S if draining else _TOTAL_S)
        self._last_s = now_s
        self._received_bytes = 0

    def __repr__(self) -> str:
        return f"<Linger {self._received_bytes} bytes>"

    def received(self, count: int, now_s: float) -> None:
        """`count` bytes were received and discarded."""
        self._received_bytes += count
        self._last_s = now_s

    @property
    def due_s(self) -> float:
        """When to close, unless more arrives before."""
        return min(self._last_s + _SILENCE_S, self._ends_s)

    @property
    def too_much(self) -> bool:
        """Whether to close at once: so much has come."""
        return self._received_bytes > _MAX_BYTES
