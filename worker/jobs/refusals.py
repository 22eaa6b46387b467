"""For how long a worker that has refused jobs takes no more of them.

It refuses jobs while it drains, has no memory or is full of clients' requests. A job that it refuses is
queued again. Without a pause it would be back at once, thousands of times a second.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

from tfleet.runtime.backoff import Backoff

_PAUSES: Final = Backoff(first_s=0.2, cap_s=5.0)


class Refusals:
    """The pause doubles with each refusal, until a job is computed."""

    def __init__(self, clock: Callable[[], float], rng: random.Random) -> None:
        self._clock = clock
        self._rng = rng
        self._in_a_row = 0
        self._until_s = 0.0

    def __repr__(self) -> str:
        return f"<Refusals {self._in_a_row} in a row, pause {self.pause_s:.1f} s>"

    @property
    def pause_s(self) -> float:
        """How long no job is to be taken from now on."""
        return max(0.0, self._until_s - self._clock())

    @property
    def trying(self) -> bool:
        """Whether the last job was refused: one job is enough to see if the next will be."""
        return self._in_a_row > 0

    def refused(self) -> bool:
        """Note a refusal. Whether it begins a pause: those of jobs that were taken together are one."""
        if self.pause_s:
            return False
        self._in_a_row += 1
        self._until_s = self._clock() + _PAUSES.delay_s(self._in_a_row, self._rng)
        return True

    def computed(self) -> None:
        """Note that a job was computed."""
        self._in_a_row = 0
