"""Who waits for which job: one subscription wakes any number of callers."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Iterator


class Waiters:
    """The callers that wait for jobs of one shard. It belongs to one event loop."""

    def __init__(self) -> None:
        self._events: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    def __repr__(self) -> str:
        return f"<Waiters {sum(map(len, self._events.values()))}>"

    @contextlib.contextmanager
    def waiting(self, job_id: str) -> Iterator[asyncio.Event]:
        """An event that is set when the job may have been settled."""
        event = asyncio.Event()
        self._events[job_id].add(event)
        try:
            yield event
        finally:
            self._events[job_id].discard(event)
            if not self._events[job_id]:
                del self._events[job_id]

    def wake(self, job_id: str) -> None:
        """The job has been settled."""
        for event in self._events.get(job_id, ()):
            event.set()

    def wake_all(self) -> None:
        """Any of the jobs may have been settled."""
        for events in self._events.values():
            for event in events:
                event.set()
