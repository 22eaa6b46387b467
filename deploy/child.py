"""One life of a child process, from its start to its end.

Rules:
- It has ended when it has exited *and* its output has: what it started itself counts with it.
- It leads a session of its own: Ctrl-C on the terminal reaches only who supervises it, and SIGKILL goes to
  all that it started.
- It does not outlive this process, whatever ends that (see leash.py).
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from tfleet.deploy.ending import Ending
from tfleet.deploy.leash import leashed
from tfleet.deploy.lines import Lines

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
