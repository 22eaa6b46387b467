"""The proxy's readiness, the rule of `/readyz`."""

from __future__ import annotations

from collections.abc import Callable

from tfleet.proxy.balancing.worker_table import WorkerTable


class Readiness:
    """Ready while a worker is routable and the proxy does not drain."""

    def __init__(self) -> None:
        self.draining = False
        self._on_drain: list[Callable[[], None]] = []
        self.name = ""
        """The id under which the proxy is registered; empty if it is not."""

    def drain(self) -> None:
        """The proxy is about to stop."""
        self.draining = True
        for callback in self._on_drain:
            callback()

    def on_drain(self, callback: Callable[[], None]) -> None:
        """Call this when the proxy starts to drain; at once if it does already."""
        self._on_drain.append(callback)
        if self.draining:
            callback()

    def set_name(self, name: str) -> None:
        """The proxy is registered under this id from now on."""
        self.name = name

    def missing(self, workers: WorkerTable) -> str | None:
        """Return why the proxy is not ready, in one line, or None."""
        return self.why_not(has_worker=workers.has_other(()))

    def why_not(self, *, has_worker: bool) -> str | None:
        """Return why the proxy is not ready, in one line, or None."""
        if self.draining:
            return "the proxy is draining"
        return None if has_worker else "no worker is ready"
