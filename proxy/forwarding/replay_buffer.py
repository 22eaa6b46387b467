"""How much of the bodies in flight may be kept for sending them again.

A request's body as far as it has come, kept while it may have to be sent again.
"""

from __future__ import annotations


class ReplayMemory:
    """Counts bytes against a limit for one request and one for all of them."""

    def __init__(self, per_request_bytes: int, total_bytes: int) -> None:
        self.used_bytes = 0
        self._per_request_bytes = per_request_bytes
        self._total_bytes = total_bytes

    def __repr__(self) -> str:
        return f"<ReplayMemory used={self.used_bytes} of {self._total_bytes}>"

    def reserve(self, held_bytes: int, more_bytes: int) -> bool:
        """Take `more_bytes` for a request that holds `held_bytes`; beyond a limit take nothing: False."""
        if held_bytes + more_bytes > self._per_request_bytes:
            return False
        if self.used_bytes + more_bytes > self._total_bytes:
            return False
        self.used_bytes += more_bytes
        return True

    def release(self, count: int) -> None:
        """Give back bytes that `reserve` took."""
        self.used_bytes -= count


class Upload:
    """What is known of a body. `kept` is all of it so far while it is `repeatable`, and else empty."""

    __slots__ = ("_kept_bytes", "_memory", "chunked", "ended", "kept", "received_bytes")

    def __init__(self, memory: ReplayMemory, *, chunked: bool) -> None:
        self.chunked = chunked
        self.kept: list[bytes] = []
        self.received_bytes = 0
        self.ended = False
        self._memory = memory
        self._kept_bytes = 0

    def __repr__(self) -> str:
        return f"<Upload received={self.received_bytes} kept={self._kept_bytes}>"

    @property
    def repeatable(self) -> bool:
        """Whether all that came is still there, so that the body can be sent from its beginning."""
        return self._kept_bytes == self.received_bytes

    def add(self, piece: bytes) -> None:
        """Take the next piece, and keep it while there is memory for all of them."""
        if self.repeatable:
            if self._memory.reserve(self._kept_bytes, len(piece)):
                self.kept.append(piece)
                self._kept_bytes += len(piece)
            else:
                self.forget()
        self.received_bytes += len(piece)

    def forget(self) -> None:
        """Give back the memory: the body won't be sent again."""
        if self._kept_bytes:
            self._memory.release(self._kept_bytes)
            self.kept.clear()
            self._kept_bytes = 0
