"""When a fleet that is starting is worth a line."""

from __future__ import annotations

_FIRST_S = 5.0
_SHORTEST_S = 0.25


class Progress:
    """Says that something changed, and ever less often that nothing did: after 5, 10, 20, 40 ... seconds."""

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.ready = 0
        self._next_s = _FIRST_S

    @property
    def complete(self) -> bool:
        """Whether all workers were ready at once."""
        return self.ready >= self.wanted

    def news(self, ready: int, elapsed_s: float) -> bool:
        """Whether to say now that `ready` workers are ready, `elapsed_s` seconds after the start."""
        changed, self.ready = ready != self.ready, ready
        due = elapsed_s >= self._next_s
        while elapsed_s >= self._next_s:
            self._next_s *= 2
        return changed or due

    @staticmethod
    def pause_s(elapsed_s: float) -> float:
        """Seconds until the next look: news is never late by more than a tenth of the time it took."""
        return max(_SHORTEST_S, elapsed_s / 10)
