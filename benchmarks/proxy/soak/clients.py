"""Clients that send requests of all kinds over a few connections and check each response."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

from benchmarks.proxy.soak.mix import BREAKS_OFF, KINDS, NOT_AWAITED, Kind
from tfleet.contract.address import Address

_TIMEOUT_S: Final = 30.0
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Clients:
    """Sends requests inside the block. `sent` counts them by kind; `wrong` has unexpected responses."""

    def __init__(self, proxy: Address, *, connections: int, seed: int = 0) -> None:
        self.sent: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._proxy = proxy
        self._connections = connections
        self._rng = random.Random(seed)
        self._stop = asyncio.Event()
        self._group = asyncio.TaskGroup()
        self._next = _every_kind(self._rng)
        self._goal = 0
        self._reached = asyncio.Event()

    async def __aenter__(self) -> Clients:
        await self._group.__aenter__()
        for _ in range(self._connections):
            self._group.create_task(self._send_all())
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._stop.set()
        await self._group.__aexit__(*exception)  # type: ignore[arg-type] # passed on as they come

    async def until(self, requests: int) -> None:
        """Wait until this many have been sent since the start."""
        self._goal = requests
        self._reached.clear()
        await self._reached.wait()

    async def _send_all(self) -> None:
        while not self._stop.is_set():
            reader, writer = await asyncio.open_connection(self._proxy.host, self._proxy.port)
            try:
                await self._use(reader, writer)
            finally:
                writer.transport.abort()

    async def _use(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Send over this connection until it has ended."""
        for kind in self._next:
            self.sent[kind.name] += 1
            if self.sent.total() >= self._goal:
                self._reached.set()
            writer.write(kind.on_the_wire(f"{self._rng.getrandbits(64):016x}"))
            if kind.status == NOT_AWAITED:
                await asyncio.sleep(0)
            else:
                async with asyncio.timeout(_TIMEOUT_S):
                    status = await _status(reader)
                if status != kind.status:
                    self.wrong.append(f"{kind.name}: {status}, not {kind.status}")
                    return
            if kind.closes or self._stop.is_set():
                return


def _every_kind(rng: random.Random) -> Iterator[Kind]:
    """Kinds in their shares: each ten thousand have the same of them, in an order of its own."""
    while True:
        deck = [kind for kind in KINDS for _ in range(kind.share)]
        rng.shuffle(deck)
        yield from deck


async def _status(reader: asyncio.StreamReader) -> int:
    """The status of a whole answer; BREAKS_OFF if there is none."""
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        head = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        await reader.readexactly(int(length[1]) if length else 0)
        return int(head[9:12])
    return BREAKS_OFF
