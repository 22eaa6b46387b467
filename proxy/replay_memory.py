"""How much of the bodies in flight may be kept for sending them again."""

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
