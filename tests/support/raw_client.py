"""A client that writes bytes and tells what came back, for what no HTTP library would send."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from tfleet.contract.address import Address

_PATIENCE_S = 10.0


@dataclass(frozen=True)
class Answer:
    """One answer: its status, its headers with names in lower case, its body."""

    status: int
    headers: dict[str, str]
    body: bytes

    def problem(self) -> dict[str, Any]:
        """The problem document that it must be."""
        assert self.headers["content-type"] == "application/problem+json", self.body
        document: dict[str, Any] = json.loads(self.body)
        assert document["status"] == self.status
        return document


class RawClient:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        """Write all of it, whether or not the other side still reads."""
        with contextlib.suppress(ConnectionError):
            self.writer.write(data)
            await self.writer.drain()

    async def answer(self) -> Answer:
        """The next answer. Fails where none comes."""
        async with asyncio.timeout(_PATIENCE_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            status, *lines = head.split("\r\n")
            pairs = (line.split(":", 1) for line in lines if line)
            headers = {name.lower(): value.strip() for name, value in pairs}
            body = await self.reader.readexactly(int(headers.get("content-length", 0)))
            return Answer(int(status.split(" ")[1]), headers, body)

    async def ends(self) -> bytes:
        """What still comes until the other side closes. Fails where it doesn't."""
        async with asyncio.timeout(_PATIENCE_S):
            try:
                return await self.reader.read()
            except ConnectionResetError:
                return b""


def abort(writer: asyncio.StreamWriter) -> None:
    """End the connection at once, if it is open: asyncio before 3.12 can't abort what it closed late."""
    ours = writer.get_extra_info("socket")
    if ours is not None and ours.fileno() >= 0:
        writer.transport.abort()


@contextlib.asynccontextmanager
async def raw_client(proxy: Address) -> AsyncIterator[RawClient]:
    """A connection to the proxy, closed at the end."""
    reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
    try:
        yield RawClient(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
