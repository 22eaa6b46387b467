"""What `tfleet scale` has to say: what came of it or, with --dry-run, what would. Pure.

What `tfleet autoscale` prints: a line for each decision and for each thing that follows from it.
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
class Prospect:
    """What would be done to come from `before` to `workers`."""

    workers: int
    before: int
    plan: ScalePlan

    def document(self) -> dict[str, Any]:
        """For programs."""
        return {
            "workers": self.workers,
            "before": self.before,
            "start": [container.name for container in self.plan.start],
            "new": list(self.plan.new),
            "stop": [container.name for container in self.plan.stop],
        }

    def lines(self) -> list[str]:
        """For people."""
        if not self.plan:
            return [f"nothing to do: {_count(self.before)} there"]
        return [
            *(f"would start {container.name}" for container in self.plan.start),
            *(f"would make number {number}, like {self.plan.pattern.name}" for number in self.plan.new),
            *(
                f"would drain {container.name}" + ("" if container == self.plan.keep else " and remove it")
                for container in self.plan.stop
            ),
        ]


@dataclass(frozen=True, slots=True)
class Result:
    """What came of it. `missing` is who is not ready, and why; `waited` is whether anybody has looked; `kept`
    is the one container of a fleet of none.
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
        """Whether all is as it was asked for."""
        return not self.failures and not self.missing

    def document(self) -> dict[str, Any]:
        """For programs."""
        return {
            "workers": self.workers,
            "before": self.before,
            "started": sorted(self.started),
            "stopped": sorted(self.stopped),
            "not_ready": dict(self.missing or {}),
            "failures": list(self.failures),
        }

    def complaints(self) -> list[str]:
        """Who is not ready. What failed was told when it did."""
        return [f"{name} is not ready: {reason}" for name, reason in (self.missing or {}).items()]

    def line(self) -> str:
        """The end, for people, where all is good."""
        if self.workers:
            state = "ready" if self.waited else "there or starting"
            return f"{_count(self.workers)} {state}, {self.before} before"
        kept = f"; {self.kept} is kept, stopped, to make others like it" if self.kept else ""
        return f"no worker is left: requests get 503 until `tfleet scale N`{kept}"


def _count(workers: int) -> str:
    return "1 worker is" if workers == 1 else f"{workers} workers are"


class TextEventLog:
    """For people. Each line begins with the time."""

    def __init__(self, write: Callable[[str], None], clock: Callable[[], datetime]) -> None:
        self._write = write
        self._clock = clock

    def decided(self, decision: ScalingDecision) -> None:
        """The figures, and what follows from them."""
        self._line(str(decision))

    def undecided(self, reason: str) -> None:
        """No decision, and why."""
        self._line(f"no decision: {reason}")

    def news(self, news: ContainerEvent) -> None:
        """What has become of a container."""
        self._line(str(news))

    def ended(self, draining: tuple[str, ...]) -> None:
        """The last line; who has been asked to leave goes on by itself."""
        rest = "; those that drain do so by themselves and stay, stopped: " if draining else ""
        self._line(f"stopped{rest}{', '.join(draining)}")

    def _line(self, text: str) -> None:
        self._write(f"{self._clock():%Y-%m-%d %H:%M:%S}  {printable(text)}")


class JsonEventLog:
    """For programs: one object a line."""

    def __init__(self, write: Callable[[str], None], clock: Callable[[], datetime]) -> None:
        self._write = write
        self._clock = clock

    def decided(self, decision: ScalingDecision) -> None:
        """The figures, and what follows from them."""
        self._line("decision", asdict(decision))

    def undecided(self, reason: str) -> None:
        """No decision, and why."""
        self._line("no-decision", {"because": reason})

    def news(self, news: ContainerEvent) -> None:
        """What has become of a container."""
        fields = asdict(news) | {"seconds": round(news.seconds, 3)}
        self._line(fields.pop("event"), fields)

    def ended(self, draining: tuple[str, ...]) -> None:
        """The last line; who has been asked to leave goes on by itself."""
        self._line("stopped", {"draining": draining})

    def _line(self, event: str, fields: dict[str, object]) -> None:
        time = self._clock().isoformat(timespec="milliseconds")
        self._write(json.dumps({"time": time, "event": event, **fields}))
