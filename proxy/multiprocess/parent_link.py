"""A listener's connection to its parent process."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from tfleet.contract.problem import Problem
from tfleet.proxy.admin.workers import document, worker_rows
from tfleet.proxy.multiprocess.messages import (
    Drain,
    Message,
    Registered,
    Report,
    ReportRequest,
    Totals,
    TotalsRequest,
    receive,
    send,
)
from tfleet.proxy.problems import ProblemError
from tfleet.proxy.readiness import Readiness
from tfleet.proxy.server import Serving

_TOTALS_TIMEOUT_S: Final = 2.0
_SILENT: Final = Problem(503, "the proxy's other processes can't be asked now: see its log", retry_after_s=1)


class ParentLink:
    """Takes what the parent says, and asks it what the pages say of all listeners together."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, readiness: Readiness
    ) -> None:
        self.serving: Serving | None = None
        """What there is to report of; nothing before it is set."""
        self._reader = reader
        self._writer = writer
        self._readiness = readiness
        self._asking: deque[asyncio.Future[Totals]] = deque()

    def __repr__(self) -> str:
        return f"<ParentLink, {len(self._asking)} wait for an answer>"

    def send(self, message: Message) -> None:
        """Send the parent a message."""
        send(self._writer, message)

    async def run(self) -> None:
        """Take what the parent sends. Returns when it is gone."""
        while (message := await receive(self._reader)) is not None:
            match message:
                case Drain():
                    self._readiness.drain()
                case Registered():
                    self._readiness.call(message.name)
                case ReportRequest():
                    await self.report()
                case Totals():
                    self._take_totals(message)
                case _:
                    raise AssertionError(f"nothing for a listener: {message!r}")

    def _take_totals(self, totals: Totals) -> None:
        if not self._asking:
            return  # for a listener that has ended, whose place this one has
        asking = self._asking.popleft()
        if not asking.done():
            asking.set_result(totals)

    async def report(self) -> None:
        """Report what this listener counts and knows."""
        if self.serving is None:
            self.send(Report())
            return
        rows = worker_rows(self.serving.fleet)
        families = await asyncio.to_thread(self.serving.metrics.families)  # it reads /proc
        self.send(Report(families, rows))

    async def metrics(self) -> bytes:
        return (await self._totals()).metrics.encode()

    async def workers(self) -> dict[str, object]:
        return document((await self._totals()).workers)

    async def _totals(self) -> Totals:
        asking: asyncio.Future[Totals] = asyncio.get_running_loop().create_future()
        self._asking.append(asking)
        self.send(TotalsRequest())
        try:
            async with asyncio.timeout(_TOTALS_TIMEOUT_S):
                return await asking
        except TimeoutError:
            raise ProblemError(_SILENT) from None
