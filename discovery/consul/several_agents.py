"""Detects several Consul agents behind one address, such as behind a load balancer.

Each agent has its own registrations. A heartbeat that reaches another agent is unknown there, so the
worker registers again and again, at each of them, and is listed more than once. The worker cannot fix
that; the operator gets one log line. Detection runs some time after a loss, when a restart of the registry
is over, and at once after several losses in a row.
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
_PASSING: Final = "passing"

ADVICE: Final = (
    "several Consul agents answer at one address, each with its own registrations: give each worker one "
    "agent, for example the one on its machine (--registry)"
)


def live_nodes(entries: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """Return the nodes of health entries whose agents are alive. A replaced agent leaves a node with a
    failing check.
    """
    return frozenset(
        str(entry["Node"]["Node"])
        for entry in entries
        if all(check["Status"] == _PASSING for check in entry["Checks"] if check["CheckID"] == _ALIVE)
    )


class SeveralAgents:
    """When to look for several agents, and what was found. The clock is the caller's."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._look_at_s = math.inf
        self._in_a_row = 0
        self._reported = False

    @property
    def in_a_row(self) -> int:
        """How often the registration was forgotten without an accepted heartbeat in between."""
        return self._in_a_row

    def lost(self, loss: Loss, now_s: float) -> None:
        """The registration was lost."""
        if loss is Loss.FORGOTTEN:
            self._in_a_row += 1
        # One loss may be a restart of the registry: wait until that is over. Several in a row are not.
        soon_s = 0.0 if self._in_a_row == _IN_A_ROW else _AFTER_S * (1 + self._rng.random())
        self._look_at_s = min(self._look_at_s, now_s + soon_s)

    def kept(self) -> None:
        """A heartbeat was accepted."""
        self._in_a_row = 0

    def is_due(self, now_s: float) -> bool:
        """Whether to look for several agents now; True once for each loss."""
        if self._reported or now_s < self._look_at_s:
            return False
        self._look_at_s = math.inf
        return True

    def is_news(self, nodes: Set[str]) -> bool:
        """Whether these nodes are worth a log line; afterwards nothing more is looked for."""
        self._reported = self._reported or len(nodes) > 1
        return len(nodes) > 1
