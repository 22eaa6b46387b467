"""A request's body as far as it has come, kept while it may have to be sent again."""

from __future__ import annotations

from tfleet.proxy.replay_memory import ReplayMemory


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
