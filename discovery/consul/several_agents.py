"""Several Consul agents behind one address, as behind a load balancer: found out, and told in one line.

An agent keeps registrations of its own. A heartbeat that comes to another one is not known there, so a worker
registers again and again, with each of them, and is listed more than once. Nothing that the worker does can
mend that. It is looked for some time after a loss, when a restart of the registry is over, and at once where
one loss follows the other.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping, Set
from typing import Any, Final

from tfleet.discovery.errors import Loss

_AFTER_S: Final = 20.0
_IN_A_ROW: Final = 3
_ALIVE: Final = "serfHealth"
_WELL: Final = "passing"

ADVICE: Final = (
    "several Consul agents answer at one address, each with registrations of its own: give each worker one "
    "agent to talk to, that of its machine for instance (--registry)"
)


def living_nodes(entries: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """The nodes of health entries whose agent lives: one that has been replaced leaves a node that is ill."""
    return frozenset(
        str(entry["Node"]["Node"])
        for entry in entries
        if all(check["Status"] == _WELL for check in entry["Checks"] if check["CheckID"] == _ALIVE)
    )


class SeveralAgents:
    """When to look for several agents, and what was found. Its clock is the caller's."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._look_at_s = math.inf
        self._in_a_row = 0
        self._told = False

    @property
    def in_a_row(self) -> int:
        """How often the registration was forgotten without a heartbeat that was taken in between."""
        return self._in_a_row

    def lost(self, loss: Loss, now_s: float) -> None:
        """Take the news of a loss."""
        if loss is Loss.FORGOTTEN:
            self._in_a_row += 1
        soon_s = 0.0 if self._in_a_row == _IN_A_ROW else _AFTER_S * (1 + self._rng.random())
        self._look_at_s = min(self._look_at_s, now_s + soon_s)

    def kept(self) -> None:
        """Take the news of a heartbeat that was taken."""
        self._in_a_row = 0

    def is_due(self, now_s: float) -> bool:
        """Whether it is time to look; it is said once."""
        if self._told or now_s < self._look_at_s:
            return False
        self._look_at_s = math.inf
        return True

    def is_news(self, nodes: Set[str]) -> bool:
        """Whether these agents, found at the one address, are worth the line; it is told once."""
        self._told = self._told or len(nodes) > 1
        return len(nodes) > 1
