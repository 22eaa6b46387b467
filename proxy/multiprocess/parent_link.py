"""A listener's connection to its parent process."""

from __future__ import annotations

import asyncio

from tfleet.proxy.admin.workers import worker_rows
from tfleet.proxy.multiprocess.messages import (
    Drain,
    Message,
    Registered,
    Report,
    ReportRequest,
    receive,
    send,
)
from tfleet.proxy.readiness import Readiness
from tfleet.proxy.server import ServingProxy


class ParentLink:
    """Receives the parent's messages, and reports to it."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, readiness: Readiness
    ) -> None:
        self.serving: ServingProxy | None = None
        """The proxy to report on; None before it serves."""
        self._reader = reader
        self._writer = writer
        self._readiness = readiness

    def __repr__(self) -> str:
        return f"<ParentLink {'serving' if self.serving else 'starting'}>"

    def send(self, message: Message) -> None:
        """Send the parent a message."""
        send(self._writer, message)

    async def run(self) -> None:
        """Handle the parent's messages. Returns when the parent is gone."""
        while (message := await receive(self._reader)) is not None:
            match message:
                case Drain():
                    self._readiness.drain()
                case Registered():
                    self._readiness.set_name(message.name)
                case ReportRequest():
                    await self.report()
                case _:
                    raise AssertionError(f"nothing for a listener: {message!r}")

    async def report(self) -> None:
        """Report this listener's metrics and workers."""
        if self.serving is None:
            self.send(Report())
            return
        workers = self.serving.workers
        rows, has_worker, left = worker_rows(workers), workers.has_other(()), workers.tries.left.now()
        families = await asyncio.to_thread(self.serving.metrics.families)  # it reads /proc
        self.send(Report(families, rows, has_worker, left))
