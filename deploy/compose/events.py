"""What becomes of a container while the fleet is scaled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Event = Literal["starting", "ready", "draining", "gone", "failed"]


@dataclass(frozen=True, slots=True)
class ContainerEvent:
    """`seconds` is what it took, where something has ended; `error` is what went wrong, else empty."""

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


Tell = Callable[[ContainerEvent], None]
