"""Request bodies kept for retries, and the memory limits for them."""

from __future__ import annotations


class ReplayBudget:
    """Counts kept bytes against a limit for one request and one for all requests."""

    def __init__(self, per_request_bytes: int, total_bytes: int) -> None:
        self.used_bytes = 0
        self._per_request_bytes = per_request_bytes
        self._total_bytes = total_bytes

    def __repr__(self) -> str:
        return f"<ReplayBudget used={self.used_bytes} of {self._total_bytes}>"

    def reserve(self, held_bytes: int, more_bytes: int) -> bool:
        """Reserve `more_bytes` for a request that holds `held_bytes`. False beyond a limit."""
        if held_bytes + more_bytes > self._per_request_bytes:
            return False
        if self.used_bytes + more_bytes > self._total_bytes:
            return False
        self.used_bytes += more_bytes
        return True

    def release(self, count: int) -> None:
        """Return bytes that `reserve` took."""
        self.used_bytes -= count


class RequestBody:
    """A request's body. `kept` has all of it so far while it is `repeatable`; otherwise it is empty."""

    __slots__ = ("_budget", "_kept_bytes", "chunked", "ended", "kept", "received_bytes")

    def __init__(self, budget: ReplayBudget, *, chunked: bool) -> None:
        self.chunked = chunked
        self.kept: list[bytes] = []
        self.received_bytes = 0
        self.ended = False
        self._budget = budget
        self._kept_bytes = 0

    def __repr__(self) -> str:
        return f"<RequestBody received={self.received_bytes} kept={self._kept_bytes}>"

    @property
    def repeatable(self) -> bool:
        """Whether everything received is still kept, so that the body can be sent again from the start."""
        return self._kept_bytes == self.received_bytes

    def add(self, piece: bytes) -> None:
        """Take the next piece, and keep it if there is memory for all of the body."""
        if self.repeatable:
            if self._budget.reserve(self._kept_bytes, len(piece)):
                self.kept.append(piece)
                self._kept_bytes += len(piece)
            else:
                self.forget()
        self.received_bytes += len(piece)

    def forget(self) -> None:
        """Release the memory: the body will not be sent again."""
        if self._kept_bytes:
            self._budget.release(self._kept_bytes)
            self.kept.clear()
            self._kept_bytes = 0
