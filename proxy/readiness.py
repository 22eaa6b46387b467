"""Whether the proxy should be sent requests."""

from __future__ import annotations

from collections.abc import Callable

from tfleet.proxy.balancing.worker_table import WorkerTable


class Readiness:
    """Ready while there is a worker to send to and the proxy is not about to stop."""

    def __init__(self) -> None:
        self.draining = False
        self._told: list[Callable[[], None]] = []
        self.name = ""
        """The id under which the proxy is registered; empty where it is not."""

    def drain(self) -> None:
        """The proxy is about to stop."""
        self.draining = True
        for told in self._told:
            told()

    def on_drain(self, told: Callable[[], None]) -> None:
        """Have it called when the proxy is about to stop, at once if it is already."""
        self._told.append(told)
        if self.draining:
            told()

    def call(self, name: str) -> None:
        """This is the id under which the proxy is registered from now on."""
        self.name = name

    def missing(self, fleet: WorkerTable) -> str | None:
        """What is missing, in one line, or None."""
        return self.why_not(has_worker=fleet.has_other(()))

    def why_not(self, *, has_worker: bool) -> str | None:
        """Why the proxy is not ready, in one line, or None."""
        if self.draining:
            return "the proxy is draining"
        return None if has_worker else "no worker is ready"
