"""The output of `tfleet scale` (its result, or its plan with --dry-run) and of `tfleet autoscale`, as text
and JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from tfleet.client.text import printable
from tfleet.deploy.compose.events import ContainerEvent
from tfleet.deploy.compose.plan import ScalePlan
from tfleet.deploy.compose.policy import ScalingDecision


@dataclass(frozen=True, slots=True)
class DryRun:
    """What `tfleet scale --dry-run` prints: the plan from `before` workers to `workers`."""

    workers: int
    before: int
    plan: ScalePlan

    def document(self) -> dict[str, Any]:
        """The JSON object."""
        return {
            "workers": self.workers,
            "before": self.before,
            "start": [container.name for container in self.plan.start],
            "new": list(self.plan.new),
            "stop": [container.name for container in self.plan.stop],
        }

    def lines(self) -> list[str]:
        """The lines for a terminal."""
        if not self.plan:
            return [f"nothing to do: {_count(self.before)} there"]
        return [
            *(f"would start {container.name}" for container in self.plan.start),
            *(f"would create number {number}, like {self.plan.pattern.name}" for number in self.plan.new),
            *(
                f"would drain {container.name}" + ("" if container == self.plan.keep else " and remove it")
                for container in self.plan.stop
            ),
        ]


@dataclass(frozen=True, slots=True)
class Result:
    """What `tfleet scale` did. `missing` maps each container that is not ready to the reason; `waited` is
    whether that was checked; `kept` is the one container that is left of a fleet of 0.
    """

    workers: int
    before: int
    started: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
    missing: Mapping[str, str] | None = None
    waited: bool = True
    kept: str | None = None

    @property
    def good(self) -> bool:
        """Whether everything succeeded."""
        return not self.failures and not self.missing

    def document(self) -> dict[str, Any]:
        """The JSON object."""
        return {
            "workers": self.workers,
            "before": self.before,
            "started": sorted(self.started),
            "stopped": sorted(self.stopped),
            "not_ready": dict(self.missing or {}),
            "failures": list(self.failures),
        }

    def errors(self) -> list[str]:
        """A line for each container that is not ready. Failures were printed when they happened."""
        return [f"{name} is not ready: {reason}" for name, reason in (self.missing or {}).items()]

    def line(self) -> str:
        """The last line on a terminal, if everything succeeded."""
        if self.workers:
            state = "ready" if self.waited else "running or starting"
            return f"{_count(self.workers)} {state}, {self.before} before"
        kept = f"; {self.kept} stays, stopped, as the pattern for new workers" if self.kept else ""
        return f"no worker is left: requests get 503 until `tfleet scale N`{kept}"


def _count(workers: int) -> str:
    return "1 worker is" if workers == 1 else f"{workers} workers are"


class TextEventLog:
    """Prints decisions and events as text; each line begins with the time."""

    def __init__(self, write: Callable[[str], None], clock: Callable[[], datetime]) -> None:
        self._write = write
        self._clock = clock

    def decided(self, decision: ScalingDecision) -> None:
        """Print a decision with its figures."""
        self._line(str(decision))

    def undecided(self, reason: str) -> None:
        """Print that no decision was possible, and why."""
        self._line(f"no decision: {reason}")

    def container_event(self, event: ContainerEvent) -> None:
        """Print an event of a container."""
        self._line(str(event))

    def ended(self, draining: tuple[str, ...]) -> None:
        """Print the last line; `draining` names the containers that go on draining without this process."""
        rest = "; these go on draining, and stay as stopped containers: " if draining else ""
        self._line(f"stopped{rest}{', '.join(draining)}")

    def _line(self, text: str) -> None:
        self._write(f"{self._clock():%Y-%m-%d %H:%M:%S}  {printable(text)}")


class JsonEventLog:
    """Prints decisions and events as JSON, one object a line."""

    def __init__(self, write: Callable[[str], None], clock: Callable[[], datetime]) -> None:
        self._write = write
        self._clock = clock

    def decided(self, decision: ScalingDecision) -> None:
        """Print a decision with its figures."""
        self._line("decision", asdict(decision))

    def undecided(self, reason: str) -> None:
        """Print that no decision was possible, and why."""
        self._line("no-decision", {"because": reason})

    def container_event(self, event: ContainerEvent) -> None:
        """Print an event of a container."""
        fields = asdict(event) | {"seconds": round(event.seconds, 3)}
        self._line(fields.pop("event"), fields)

    def ended(self, draining: tuple[str, ...]) -> None:
        """Print the last line; `draining` names the containers that go on draining without this process."""
        self._line("stopped", {"draining": draining})

    def _line(self, event: str, fields: dict[str, object]) -> None:
        time = self._clock().isoformat(timespec="milliseconds")
        self._write(json.dumps({"time": time, "event": event, **fields}))
