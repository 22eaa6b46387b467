"""For how long there was something to do."""

from __future__ import annotations

import time
from collections.abc import Callable


class BusyTime:
    """Adds up the spans between `begin` and `end`. Whoever calls them sees to it that they take turns."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ended_s = 0.0
        self._since_s: float | None = None

    def __repr__(self) -> str:
        return f"<BusyTime {self.seconds:.3f} s, {'idle' if self._since_s is None else 'busy'}>"

    @property
    def seconds(self) -> float:
        """All spans together, the one that is not over included."""
        return self._ended_s if self._since_s is None else self._ended_s + self._clock() - self._since_s

    def begin(self) -> None:
        """There is something to do. Said again, it changes nothing."""
        if self._since_s is None:
            self._since_s = self._clock()

    def end(self) -> None:
        """There is nothing to do any more. Said again, it changes nothing."""
        self._ended_s, self._since_s = self.seconds, None
