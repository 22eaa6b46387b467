"""A listener's line to its parent, and through it to its siblings."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from tfleet.contract.problem import Problem
from tfleet.proxy.admin.workers import document, worker_rows
from tfleet.proxy.multiprocess.messages import Ask, Called, Drain, Message, Summed, Tell, Told, receive, send
from tfleet.proxy.problems import ProblemError
from tfleet.proxy.readiness import Readiness
from tfleet.proxy.server import Serving

_PATIENCE_S: Final = 2.0
_SILENT: Final = Problem(503, "the proxy's other processes can't be asked now: see its log", retry_after_s=1)


class Link:
    """What the parent says, and what the pages say of all listeners together: it is their Report."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, readiness: Readiness
    ) -> None:
        self.serving: Serving | None = None
        """What there is to tell of; nothing before it is set."""
        self._reader = reader
        self._writer = writer
        self._readiness = readiness
        self._asking: deque[asyncio.Future[Summed]] = deque()

    def __repr__(self) -> str:
        return f"<Link, {len(self._asking)} wait for an answer>"

    def send(self, message: Message) -> None:
        """Tell the parent."""
        send(self._writer, message)

    async def run(self) -> None:
        """Hear the parent out. Returns when it is gone."""
        while (message := await receive(self._reader)) is not None:
            match message:
                case Drain():
                    self._readiness.drain()
                case Called():
                    self._readiness.call(message.name)
                case Tell():
                    await self.tell()
                case Summed():
                    self._answered(message)
                case _:
                    raise AssertionError(f"nothing for a listener: {message!r}")

    def _answered(self, summed: Summed) -> None:
        if not self._asking:
            return  # the answer to a listener that has ended, whose place this one has
        asking = self._asking.popleft()
        if not asking.done():
            asking.set_result(summed)

    async def tell(self) -> None:
        """Tell the parent what this listener counts and knows."""
        if self.serving is None:
            self.send(Told())
            return
        rows = worker_rows(self.serving.fleet)
        families = await asyncio.to_thread(self.serving.metrics.families)  # it reads /proc
        self.send(Told(families, rows))

    async def metrics(self) -> bytes:
        return (await self._sum()).metrics

    async def workers(self) -> dict[str, object]:
        return document((await self._sum()).workers)

    async def _sum(self) -> Summed:
        asking: asyncio.Future[Summed] = asyncio.get_running_loop().create_future()
        self._asking.append(asking)
        self.send(Ask())
        try:
            async with asyncio.timeout(_PATIENCE_S):
                return await asking
        except TimeoutError:
            raise ProblemError(_SILENT) from None
