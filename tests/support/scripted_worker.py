"""A worker that does byte for byte what a script says, and notes what came in on which connection."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from tests.support.fake_worker import raw_server
from tests.support.raw_client import abort
from tfleet.contract.address import Address

_RESET_AT_CLOSE = struct.pack("ii", 1, 0)


def reset_connection(writer: asyncio.StreamWriter) -> None:
    """End with RST: `abort` alone ends with FIN where nothing is left unread."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
    writer.transport.abort()


@dataclass(frozen=True)
class Request:
    """One request as it came on a connection: its head, and its body without the framing."""

    connection: int
    head: bytes
    body: bytes

    def all(self, name: bytes) -> list[bytes]:
        """The values of a header, as often as it is there."""
        return header(self.head, name)


@dataclass
class Line:
    """One connection from the proxy, seen from the worker."""

    number: int
    worker: "ScriptedWorker"
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def head(self) -> bytes:
        """The next request's head."""
        return await self.reader.readuntil(b"\r\n\r\n")

    async def body(self, head: bytes) -> bytes:
        """The body that belongs to the head."""
        if header(head, b"transfer-encoding") != [b"chunked"]:
            (length,) = header(head, b"content-length")
            return await self.reader.readexactly(int(length))
        body = b""
        while size := int(await self.reader.readline(), 16):
            body += await self.reader.readexactly(size)
            assert await self.reader.readexactly(2) == b"\r\n"
        assert await self.reader.readline() == b"\r\n", "trailers were passed on"
        return body


Step = bytes | Callable[[Line], Awaitable[None]]


@dataclass
class ScriptedWorker:
    """The script is for each connection; `requests` are those that a `read` of it read whole."""

    address: Address
    script: tuple[Step, ...]
    requests: list[Request] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    open_lines: int = 0
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = Line(len(self.lines), self, reader, writer)
        self.lines.append(line)
        self.open_lines += 1
        try:
            for step in self.script:
                if isinstance(step, bytes):
                    writer.write(step)
                    await writer.drain()
                else:
                    await step(line)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the proxy was first
        finally:
            self.open_lines -= 1


@contextlib.asynccontextmanager
async def scripted_worker(*script: Step) -> AsyncIterator[ScriptedWorker]:
    """A worker that listens inside the block. At a script's end its connection is closed."""
    worker = ScriptedWorker(Address("127.0.0.1", 1), script)
    async with raw_server(worker.talk) as worker.address:
        try:
            yield worker
        finally:
            for line in worker.lines:
                abort(line.writer)


def header(head: bytes, name: bytes) -> list[bytes]:
    """The values of a header, as often as it is there."""
    fields = (line.partition(b":") for line in head.split(b"\r\n"))
    return [value.strip() for key, _, value in fields if key.lower() == name]


async def read(line: Line) -> None:
    """Read a whole request, and note it."""
    head = await line.head()
    line.worker.requests.append(Request(line.number, head, await line.body(head)))


async def read_head(line: Line) -> None:
    """Read a request's head, and leave its body where it is."""
    await line.head()


async def take_little(line: Line) -> None:
    """Let the system hold no more than some kilobytes of what is not read."""
    line.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)


async def reset(line: Line) -> None:
    """End the connection with RST."""
    reset_connection(line.writer)


async def half_close(line: Line) -> None:
    """Say that nothing more will come, and listen on."""
    line.writer.write_eof()


async def hang(line: Line) -> None:
    """Do nothing until the proxy ends the connection."""
    with contextlib.suppress(ConnectionError):
        await line.reader.read()


async def wait(line: Line) -> None:
    """Do nothing until the test says `go_on`, once for each time."""
    await line.worker.go_on.wait()
    line.worker.go_on.clear()


def without_end(piece: bytes) -> Step:
    """Say the same again and again, as fast as it is taken."""

    async def say(line: Line) -> None:
        while True:
            line.writer.write(piece)
            await line.writer.drain()

    return say


def dripping(data: bytes, every_s: float) -> Step:
    """Say it byte by byte."""

    async def say(line: Line) -> None:
        for value in data:
            line.writer.write(bytes([value]))
            await line.writer.drain()
            await asyncio.sleep(every_s)

    return say
