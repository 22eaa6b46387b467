"""The events of a container while the fleet is scaled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Event = Literal["starting", "ready", "draining", "gone", "failed"]


@dataclass(frozen=True, slots=True)
class ContainerEvent:
    """An event; `seconds` is how long it took, for `ready` and `gone`; `error` is the reason of `failed`."""

    container: str
    event: Event
    seconds: float = 0.0
    error: str = ""

    def __str__(self) -> str:
        match self.event:
            case "starting" | "draining":
                return f"{self.container} is {self.event}"
            case "ready" | "gone":
                return f"{self.container} is {self.event}, after {self.seconds:.1f} s"
            case "failed":
                return f"{self.container}: {self.error}"


Report = Callable[[ContainerEvent], None]
"""Takes the events as they happen."""
