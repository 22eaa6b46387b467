"""Whether images go through the proxy because no worker can be reached from where the client stands."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import random

AGAIN_AFTER_S: Final = 30.0
_JITTER: Final = 0.25


@dataclass(frozen=True, slots=True)
class Detour:
    """A client is on it as long as `look_at_s` is set: then it looks again for a worker that it can reach.

    `told` is whether the user knows; once is enough. Times are on the caller's clock.
    """

    again_after_s: float = AGAIN_AFTER_S
    look_at_s: float | None = None
    told: bool = False

    @property
    def taken(self) -> bool:
        """Whether images go through the proxy."""
        return self.look_at_s is not None

    def due(self, now_s: float) -> bool:
        """Whether it is time to look for a worker again."""
        return self.look_at_s is not None and now_s >= self.look_at_s

    def on(self, now_s: float, rng: random.Random) -> Detour:
        """Take it, or stay on it, and look again in about `again_after_s`."""
        wait_s = self.again_after_s * (1 + _JITTER * (2 * rng.random() - 1))
        return replace(self, look_at_s=now_s + wait_s, told=True)

    def off(self) -> Detour:
        """Send straight to the workers again."""
        return replace(self, look_at_s=None)
