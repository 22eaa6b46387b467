"""How a child ended.

Whole lines out of what a pipe gives in pieces.

What a child that can never run says before it ends with exit code 2, kept apart from its other lines.

Several children refuse for the same reason: it is told once, by whoever started them, and not once for each.

One life of a child process, from its start to its end.

Rules:
- It has ended when it has exited *and* its output has: what it started itself counts with it.
- It leads a session of its own: Ctrl-C on the terminal reaches only who supervises it, and SIGKILL goes to
  all that it started.
- It does not outlive this process, whatever ends that (see leash.py).
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from tfleet.deploy.errors import UNUSABLE
from tfleet.deploy.local.parent_death import leashed


@dataclass(frozen=True, slots=True)
class Ending:
    """`returncode` as the standard library has it: an exit code, or minus the signal that killed it."""

    returncode: int

    @property
    def hopeless(self) -> bool:
        """Whether the next start would end the same way: an option or a model that cannot be used."""
        return self.returncode == UNUSABLE

    def __str__(self) -> str:
        if self.returncode >= 0:
            return f"exit code {self.returncode}"
        try:
            return signal.Signals(-self.returncode).name
        except ValueError:  # real-time signals have no name
            return f"signal {-self.returncode}"


class Lines:
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


_WORDS: Final = re.compile(r"(?:Error|tfleet \w+): (?P<reason>.+)")
_USAGE: Final = "Usage: "
_MOST_LINES: Final = 8


class LastWords:
    """Takes each line of a child and gives those that are to be shown now.

    What looks like a refusal is held: `reason` is its last line without what is before it. It turns out to be
    none where the child goes on to say something else, or ends otherwise.
    """

    def __init__(self) -> None:
        self._held: list[str] = []

    @property
    def reason(self) -> str:
        """Why the child refused, if it ended now; empty where it gave no reason."""
        last = next((line for line in reversed(self._held) if line.strip()), "")
        match = _WORDS.fullmatch(last.strip())
        return match["reason"] if match else ""

    def feed(self, line: str) -> list[str]:
        """The lines to show, now that the child has said this one."""
        begins = line.startswith(_USAGE) or _WORDS.fullmatch(line.strip()) is not None
        in_usage = bool(self._held) and self._held[0].startswith(_USAGE) and not self.reason
        goes_on = in_usage or (bool(self._held) and not line.strip())
        if len(self._held) < _MOST_LINES and (goes_on or (begins and not self._held)):
            self._held.append(line)
            return []
        if begins:
            shown, self._held = self._held, [line]
            return shown
        return [*self.end(), line]

    def end(self) -> list[str]:
        """What was held: it was no refusal."""
        held, self._held = self._held, []
        return held


_READ_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Spec:
    """What to run under which name. `environ` is the whole environment, None is this process's own."""

    name: str
    argv: tuple[str, ...]
    environ: Mapping[str, str] | None = None


class Child:
    """A started child; `end` must be awaited, whatever becomes of it."""

    def __init__(self, process: asyncio.subprocess.Process, relay: Callable[[str], None]) -> None:
        self._process = process
        self._relay = relay

    @classmethod
    async def start(cls, spec: Spec, relay: Callable[[str], None]) -> Child:
        """Start it; `relay` gets each line that it writes, to standard output or error, in order.

        Raises OSError where the system has no room for another process.
        """
        process = await asyncio.create_subprocess_exec(
            *leashed(spec.argv),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,  # one pipe keeps the order of what was written
            env=spec.environ,
            start_new_session=True,
        )
        return cls(process, relay)

    @property
    def pid(self) -> int:
        """The process id, which is also that of its session and its group."""
        return self._process.pid

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the child, or SIGKILL to its whole group; only before `end` has returned.

        Not through asyncio: before Python 3.13 its `send_signal` polls, and so takes the exit code away from
        the thread that waits for it.
        """
        with suppress(ProcessLookupError):
            (os.killpg if number is signal.SIGKILL else os.kill)(self.pid, number)

    async def end(self) -> Ending:
        """Pass on what it writes until it has ended. Cancelled, it kills the child before it returns."""
        try:
            await self._pass_on()
            return Ending(await self._process.wait())
        except BaseException:
            self.send(signal.SIGKILL)
            await self._process.wait()
            raise

    async def _pass_on(self) -> None:
        output = self._process.stdout
        assert output is not None  # asked for in `start`
        lines = Lines()
        while data := await output.read(_READ_BYTES):
            for line in lines.feed(data):
                self._relay(line)
        for line in lines.end():
            self._relay(line)
