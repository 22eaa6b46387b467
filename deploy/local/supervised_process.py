"""A process of the fleet that is kept running: one child after the other.

Rules:
- `run` alone starts children and waits for them; `stop` and `kill` only send signals and wait for `run`.
- A signal asked for while a child is being started reaches it as soon as it is there.
- Nothing is started once `stop` or `kill` was called.
"""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Literal

from tfleet.deploy.local.child_process import Child, Ending, LastWords, Spec
from tfleet.deploy.local.terminal import Console
from tfleet.runtime.backoff import RestartPolicy
from tfleet.runtime.printable import printable

State = Literal["new", "starting", "running", "waiting", "ended"]


class Process:
    """Keeps a child running until it is told to stop or there is no point in starting it again."""

    def __init__(
        self,
        spec: Spec,
        console: Console,
        *,
        policy: RestartPolicy | None = None,
        rng: random.Random | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.spec = spec
        self.state: State = "new"
        self.starts = 0
        self.hopeless = False
        """Whether the latest child ended in a way that the next one would, too."""
        self.refusal = ""
        """Why there is no point in starting it again, in its own words, which whoever supervises it tells."""
        self._console = console
        self._policy = policy or RestartPolicy()
        self._rng = rng or random.Random()  # noqa: S311 - spreads restarts, guards nothing
        self._clock = clock
        self._child: Child | None = None
        self._words = LastWords()
        self._asked: signal.Signals | None = None
        self._stop = asyncio.Event()
        self._ended = asyncio.Event()

    def __repr__(self) -> str:
        pid = self._child.pid if self._child else None
        return f"<Process {self.spec.name} {self.state}, pid {pid}, {self.starts} starts>"

    async def run(self) -> Ending | None:
        """Start the child, and again whenever it dies; return None once it was stopped.

        Returns its ending where that is hopeless: whoever calls decides what becomes of the others.
        """
        failures = 0
        try:
            while not self._stop.is_set():
                began = self._clock()
                ending = await self._live()
                if self._stop.is_set():
                    break
                if ending is not None and ending.hopeless:
                    return ending
                failures = self._policy.failures_after(failures, self._clock() - began)
                await self._pause(ending, self._policy.delay_s(failures, self._rng))
            return None
        finally:
            self.state = "ended"
            self._ended.set()

    async def stop(self, timeout_s: float) -> None:
        """Ask the child to end (SIGTERM) and wait until it has; SIGKILL, and a line, after `timeout_s` s."""
        self._ask(signal.SIGTERM)
        try:
            async with asyncio.timeout(timeout_s):
                await self._ended.wait()
        except TimeoutError:
            self._console.say(f"{self.spec.name} did not end within {timeout_s:g} s of SIGTERM: killed")
            self.kill()
            await self._ended.wait()

    def kill(self) -> None:
        """End the child, and all that it started, at once (SIGKILL)."""
        self._ask(signal.SIGKILL)

    def _ask(self, asked: signal.Signals) -> None:
        if self._asked is not signal.SIGKILL:  # nothing weaker takes its place
            self._asked = asked
        self._stop.set()
        self._deliver()

    def _deliver(self) -> None:
        if self._child is not None and self._asked is not None:
            self._child.send(self._asked)

    async def _live(self) -> Ending | None:
        """One child, from start to end; None where it could not even be started."""
        self.state, self._words = "starting", LastWords()
        self.starts += 1
        try:
            self._child = await Child.start(self.spec, self._line)
        except OSError as error:  # out of memory or of processes: that may pass
            self._console.say(f"{self.spec.name} could not be started: {error.strerror or error}")
            return None
        self.state = "running"
        self._console.say(f"{self.spec.name} started (process {self._child.pid})")
        self._deliver()
        try:
            ending = await self._child.end()
        finally:
            self._child = None
        self.hopeless = ending.hopeless
        # Asked to stop because another one refuses, it may not come to its exit code.
        self.refusal = printable(self._words.reason) if ending.hopeless or self._stop.is_set() else ""
        if not self.refusal:
            self._show(self._words.end())
        return ending

    def _line(self, line: str) -> None:
        self._show(self._words.feed(line))

    def _show(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._console.relay(self.spec.name, line)

    async def _pause(self, ending: Ending | None, delay_s: float) -> None:
        self.state = "waiting"
        how = f"ended ({ending})" if ending else "did not start"
        self._console.say(f"{self.spec.name} {how}: starting it again in {delay_s:.1f} s")
        with suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await self._stop.wait()
