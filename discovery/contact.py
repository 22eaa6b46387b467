"""The age of the registry's last answer, for the metrics."""

from __future__ import annotations

import time
from collections.abc import Callable


class LastContact:
    """Counts failures and remembers the last success. Written by one thread, read by any."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.failures = 0
        """How often the registry did not answer, or not as expected."""
        self._clock = clock
        self._succeeded_at_s = clock()

    def __repr__(self) -> str:
        return f"<LastContact failures={self.failures} age={self.age_s:.1f} s>"

    @property
    def age_s(self) -> float:
        """Seconds since the last success; before the first one, since the start."""
        return self._clock() - self._succeeded_at_s

    def succeeded(self) -> None:
        """The registry answered as expected."""
        self._succeeded_at_s = self._clock()

    def failed(self) -> None:
        """The registry did not answer as expected."""
        self.failures += 1
