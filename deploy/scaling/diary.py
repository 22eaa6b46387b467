"""What `tfleet autoscale` prints: a line for each decision and for each thing that follows from it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime

from tfleet.client.text import printable
from tfleet.deploy.scaling.decision import Decision
from tfleet.deploy.scaling.news import News


class TextDiary:
    """For people. Each line begins with the time."""

    def __init__(self, write: Callable[[str], None], clock: Callable[[], datetime]) -> None:
        self._write = write
        self._clock = clock

    def decided(self, decision: Decision) -> None:
        """The figures, and what follows from them."""
        self._line(str(decision))

    def undecided(self, reason: str) -> None:
        """No decision, and why."""
        self._line(f"no decision: {reason}")

    def news(self, news: News) -> None:
        """What has become of a container."""
        self._line(str(news))

    def ended(self, draining: tuple[str, ...]) -> None:
        """The last line; who has been asked to leave goes on by itself."""
        rest = "; those that drain do so by themselves and stay, stopped: " if draining else ""
        self._line(f"stopped{rest}{', '.join(draining)}")

    def _line(self, text: str) -> None:
        self._write(f"{self._clock():%Y-%m-%d %H:%M:%S}  {printable(text)}")


class JsonDiary:
    """For programs: one object a line."""

    def __init__(self, write: Callable[[str], None], clock: Callable[[], datetime]) -> None:
        self._write = write
        self._clock = clock

    def decided(self, decision: Decision) -> None:
        """The figures, and what follows from them."""
        self._line("decision", asdict(decision))

    def undecided(self, reason: str) -> None:
        """No decision, and why."""
        self._line("no-decision", {"because": reason})

    def news(self, news: News) -> None:
        """What has become of a container."""
        fields = asdict(news) | {"seconds": round(news.seconds, 3)}
        self._line(fields.pop("event"), fields)

    def ended(self, draining: tuple[str, ...]) -> None:
        """The last line; who has been asked to leave goes on by itself."""
        self._line("stopped", {"draining": draining})

    def _line(self, event: str, fields: dict[str, object]) -> None:
        time = self._clock().isoformat(timespec="milliseconds")
        self._write(json.dumps({"time": time, "event": event, **fields}))
