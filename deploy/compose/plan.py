"""What has to be done to have so many workers. Pure.

The rules:

- Those count that are alive: running, restarting or paused.
- Stopped ones are started first, the lowest number first, as compose does it. Only then are new ones made,
  with numbers that follow the highest. Of what is alive the healthiest with the lowest number is copied.
- Who has to leave: first who is of no use (restarting, paused, unhealthy), then who is still starting, then
  the highest numbers, as with compose.
- Of a fleet that shrinks to 0 one container is kept, stopped: without one there would be nothing to copy.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tfleet.deploy.compose.container import Container


@dataclass(frozen=True, slots=True)
class ScalePlan:
    """`start` are stopped containers, `new` the numbers of those to be made, like `pattern`; `stop` have to
    leave, and are removed but for `keep`.
    """

    pattern: Container
    start: tuple[Container, ...] = ()
    new: tuple[int, ...] = ()
    stop: tuple[Container, ...] = ()
    keep: Container | None = None

    def __bool__(self) -> bool:
        """Whether anything is to be done."""
        return bool(self.start or self.new or self.stop)


def alive(containers: Iterable[Container]) -> list[Container]:
    """Those that count as workers."""
    return [container for container in containers if container.alive]


def plan(containers: Sequence[Container], wanted: int) -> ScalePlan:
    """From all containers of the service, of which there has to be one, to so many workers."""
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
    """The lower the better."""
    if container.state != "running" or container.health == "unhealthy":
        return 2, container.number
    return int(container.health == "starting"), container.number
