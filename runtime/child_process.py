"""One life of a child process, from its start to its end.

Rules:
- A child has ended when it has exited *and* its channel is closed: what it started itself counts with it.
- A child with `own_session` leads a session and a process group. Ctrl-C on the terminal does not reach it,
  and SIGKILL goes to all that it started.
- A child does not outlive this process, whatever ends this process (see parent_death.py).
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from typing import Any, Final, Protocol

from tfleet.runtime.parent_death import dying_with_parent

UNUSABLE: Final = 2
"""The exit code of every tfleet program that was asked for something it can never do."""

_READ_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """What to run, under which name. `environ` is the whole environment; None is this process's own."""

    name: str
    argv: tuple[str, ...]
    environ: Mapping[str, str] | None = None
    own_session: bool = True


@dataclass(frozen=True, slots=True)
class ExitStatus:
    """How a child ended. `returncode` is an exit code, or minus the signal that killed the child."""

    returncode: int

    @property
    def unusable(self) -> bool:
        """Whether the next start would end the same way: an option or a model that cannot be used."""
        return self.returncode == UNUSABLE

    def __str__(self) -> str:
        if self.returncode >= 0:
            return f"exit code {self.returncode}"
        try:
            return signal.Signals(-self.returncode).name
        except ValueError:  # real-time signals have no name
            return f"signal {-self.returncode}"


class Channel(Protocol):
    """What connects this process with one child: the child's output, or a socket to it."""

    def streams(self) -> dict[str, Any]:
        """The child's standard streams, as `asyncio.create_subprocess_exec` takes them. Called again, for
        another attempt to start the child, it opens new ones.
        """

    async def run(self) -> None:
        """Read what the child sends, until the child has closed its end. The child has been started."""

    def close(self) -> None:
        """Release what `streams` opened; also for a child that could not be started."""


class OutputPipe:
    """Passes on each line that a child writes, to standard output or error, in order. It has no input."""

    def __init__(self, relay: Callable[[str], None]) -> None:
        self._relay = relay
        self._ours: FileIO | None = None
        self._theirs: FileIO | None = None

    def streams(self) -> dict[str, Any]:
        self.close()
        reading, writing = os.pipe()
        self._ours, self._theirs = FileIO(reading, "rb"), FileIO(writing, "wb")
        # One pipe keeps the order of the lines.
        return {"stdin": asyncio.subprocess.DEVNULL, "stdout": writing, "stderr": writing}

    async def run(self) -> None:
        assert self._ours is not None  # opened in `streams`
        assert self._theirs is not None
        self._theirs.close()  # or the end of the child would not be the end of the pipe
        output = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(output), self._ours
        )
        try:
            await self._relay_lines(output)
        finally:
            transport.close()

    async def _relay_lines(self, output: asyncio.StreamReader) -> None:
        lines = OutputLines()
        while data := await output.read(_READ_BYTES):
            for line in lines.feed(data):
                self._relay(line)
        for line in lines.end():
            self._relay(line)

    def close(self) -> None:
        for end in (self._ours, self._theirs):
            if end is not None:
                end.close()


class ControlSocket:
    """A socket to a child, which is the child's standard input. The child's output goes where ours goes.

    `talk` speaks with the child, and returns when the child has closed its end. Its reader holds
    `limit_bytes` of a line at the most.
    """

    def __init__(
        self,
        talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
        *,
        limit_bytes: int = 64 * 1024,
    ) -> None:
        self._talk = talk
        self._limit_bytes = limit_bytes
        self._ours, self._theirs = socket.socketpair()

    def streams(self) -> dict[str, Any]:
        return {"stdin": self._theirs.fileno()}

    async def run(self) -> None:
        self._theirs.close()  # or the end of the child would not be the end of the stream
        self._ours.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=self._ours, limit=self._limit_bytes)
        try:
            await self._talk(reader, writer)
        finally:
            writer.close()

    def close(self) -> None:
        self._theirs.close()
        self._ours.close()


class ChildProcess:
    """A started child; `end` must be awaited, whatever becomes of it.

    `pid` is its process id; with `own_session` also the id of the child's session and group. `returncode`
    waits until it has exited.
    """

    def __init__(
        self, spec: ChildSpec, channel: Channel, pid: int, returncode: Callable[[], Awaitable[int]]
    ) -> None:
        self.pid = pid
        self._spec = spec
        self._channel = channel
        self._returncode = returncode

    @classmethod
    async def start(cls, spec: ChildSpec, channel: Channel) -> ChildProcess:
        """Start the child. Raises OSError where the system has no room for another process."""
        try:
            process = await asyncio.create_subprocess_exec(
                *dying_with_parent(spec.argv),
                **channel.streams(),
                env=spec.environ,
                start_new_session=spec.own_session,
            )
        except BaseException:
            channel.close()
            raise
        return cls(spec, channel, process.pid, process.wait)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the child, or SIGKILL to its whole group; only before `end` has returned.

        Not through asyncio: before Python 3.13 its `send_signal` polls, and so takes the exit code away from
        the thread that waits for it.
        """
        whole_group = number is signal.SIGKILL and self._spec.own_session
        with suppress(ProcessLookupError):
            (os.killpg if whole_group else os.kill)(self.pid, number)

    async def end(self) -> ExitStatus:
        """Run the channel until the child has ended. Cancelled, this kills the child before it returns."""
        try:
            await self._channel.run()
            return ExitStatus(await self._returncode())
        except BaseException:
            self.send(signal.SIGKILL)
            await self._returncode()
            raise
        finally:
            self._channel.close()


class OutputLines:
    """Collects bytes and gives them back as lines of text, without their ends.

    Text is UTF-8, with U+FFFD for what is not. A line longer than `limit` bytes comes in pieces, so that a
    child which never ends a line costs no more memory than that.
    """

    def __init__(self, limit: int = 16 * 1024) -> None:
        self._limit = limit
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """The lines that `data` completes."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        lines = [piece for line in whole for piece in self._pieces(line)]
        if len(self._rest) > self._limit:
            *full, self._rest = self._cut(self._rest)
            lines.extend(map(_text, full))
        return lines

    def end(self) -> list[str]:
        """What is left when the pipe has ended: a last line without an end, or nothing."""
        rest, self._rest = self._rest, b""
        return self._pieces(rest) if rest else []

    def _pieces(self, line: bytes) -> list[str]:
        return [_text(piece) for piece in self._cut(line)]

    def _cut(self, line: bytes) -> list[bytes]:
        return [line[at : at + self._limit] for at in range(0, len(line), self._limit)] or [b""]


def _text(line: bytes) -> str:
    return line.removesuffix(b"\r").decode(errors="replace")
