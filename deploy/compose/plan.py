"""Plan how to get from the present containers to a number of workers. Decisions only, no I/O.

The rules:

- A container counts as a worker while it runs, restarts or is paused.
- To scale up, stopped containers are started first, the lowest number first, as compose does. Then new ones
  are created, with numbers above the highest, as copies of the healthiest container with the lowest number.
- To scale down, useless containers (restarting, paused, unhealthy) leave first, then those that are starting,
  then the highest numbers, as with compose.
- When the fleet is scaled to 0 one stopped container is kept: without it there would be nothing to copy
  later.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tfleet.deploy.compose.container import Container


@dataclass(frozen=True, slots=True)
class ScalePlan:
    """What to do: `start` stopped containers, create those with the numbers `new` as copies of `pattern`,
    drain and remove `stop`; but only stop `keep`.
    """

    pattern: Container
    start: tuple[Container, ...] = ()
    new: tuple[int, ...] = ()
    stop: tuple[Container, ...] = ()
    keep: Container | None = None

    def __bool__(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.start or self.new or self.stop)


def alive(containers: Iterable[Container]) -> list[Container]:
    """The containers that count as workers."""
    return [container for container in containers if container.alive]


def plan(containers: Sequence[Container], wanted: int) -> ScalePlan:
    """Plan to have `wanted` workers. `containers` are all of the service, at least one."""
    living = alive(containers)
    stopped = sorted((each for each in containers if not each.alive), key=lambda each: each.number)
    pattern = min(living or stopped, key=_usefulness)
    missing = wanted - len(living)
    if missing > 0:
        start = tuple(stopped[:missing])
        highest = max(container.number for container in containers)
        new = range(highest + 1, highest + 1 + missing - len(start))
        return ScalePlan(pattern, start=start, new=tuple(new))
    stop = sorted(living, key=_usefulness, reverse=True)[: -missing or 0]
    keep = pattern if stop and wanted == 0 and not stopped else None
    return ScalePlan(pattern, stop=tuple(stop), keep=keep)


def _usefulness(container: Container) -> tuple[int, int]:
    """A sort key: the lower, the more useful."""
    state = container.state
    if state.status != "running" or state.health == "unhealthy":
        return 2, container.number
    return int(state.health == "starting"), container.number
