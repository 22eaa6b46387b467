"""A child process that is kept running: one child after the other.

Rules:
- `run` alone starts children and waits for them; `stop` and `kill` only send signals and wait for `run`.
- A signal asked for while a child is being started reaches the child as soon as it is there.
- Nothing is started once `stay_down`, `stop` or `kill` was called.
- A child that ends in a way that no restart helps is not started again: `run` returns its exit status.
"""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Literal, Protocol

from tfleet.runtime.backoff import RestartPolicy
from tfleet.runtime.child_process import Channel, ChildProcess, ChildSpec, ExitStatus, OutputPipe
from tfleet.runtime.termination_message import TerminationMessage

State = Literal["new", "starting", "running", "waiting", "ended"]


class ProcessEvents(Protocol):
    """Who is told what becomes of a supervised process. `restart_in_s` is how long the next start waits."""

    def started(self, pid: int) -> None: ...

    def not_started(self, reason: str) -> None: ...

    def output(self, line: str) -> None: ...

    def ended(self, status: ExitStatus | None, restart_in_s: float) -> None:
        """The child has ended and is started again. `status` is None where it did not even start."""

    def overdue(self, timeout_s: float) -> None:
        """The child did not end within so long of SIGTERM, and is killed."""


class SupervisedProcess:
    """Keeps a child running until it is told to stop or there is no point in starting it again.

    `channel` makes what connects us with each child; by default its output goes to `events`. `final` says
    whether an exit status means that no restart helps.
    """

    def __init__(
        self,
        spec: ChildSpec,
        events: ProcessEvents,
        *,
        channel: Callable[[], Channel] | None = None,
        final: Callable[[ExitStatus], bool] = lambda status: status.unusable,
        policy: RestartPolicy | None = None,
        rng: random.Random | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.spec = spec
        self.state: State = "new"
        self.starts = 0
        self.failed = False
        """Whether the latest child ended in a way that the next one would, too."""
        self.refusal = ""
        """Why there is no point in starting it again, in the child's own words, for its owner to tell."""
        self._events = events
        self._channel = channel or (lambda: OutputPipe(self._line))
        self._final = final
        rng = rng or random.Random()  # noqa: S311 - spreads restarts, guards nothing
        self._restarts = _Restarts(policy or RestartPolicy(), rng, clock)
        self._child: ChildProcess | None = None
        self._message = TerminationMessage()
        self._signal: signal.Signals | None = None
        self._stop = asyncio.Event()
        self._ended = asyncio.Event()

    def __repr__(self) -> str:
        return f"<SupervisedProcess {self.spec.name} {self.state}, pid {self.pid}, {self.starts} starts>"

    @property
    def pid(self) -> int | None:
        """The process id of the child that runs now."""
        return self._child.pid if self._child else None

    async def run(self) -> ExitStatus | None:
        """Start the child, and again whenever it dies; return None once it was stopped.

        Returns its exit status where no restart helps: the caller decides what becomes of the others.
        """
        try:
            while not self._stop.is_set():
                self._restarts.began()
                status = await self._run_child()
                if self._stop.is_set():
                    break
                if status is not None and self.failed:
                    return status
                await self._pause(status, self._restarts.delay_s())
            return None
        finally:
            self.state = "ended"
            self._ended.set()

    def stay_down(self) -> None:
        """Don't start another child once this one has ended."""
        self._stop.set()

    async def stop(self, timeout_s: float) -> None:
        """Ask the child to end (SIGTERM) and wait until it has; SIGKILL after `timeout_s` seconds."""
        self._send(signal.SIGTERM)
        try:
            async with asyncio.timeout(timeout_s):
                await self._ended.wait()
        except TimeoutError:
            self._events.overdue(timeout_s)
            self.kill()
            await self._ended.wait()

    def kill(self) -> None:
        """End the child at once (SIGKILL); with a session of its own also all that it started."""
        self._send(signal.SIGKILL)

    def _send(self, wanted: signal.Signals) -> None:
        if self._signal is not signal.SIGKILL:  # nothing weaker takes its place
            self._signal = wanted
        self._stop.set()
        self._deliver()

    def _deliver(self) -> None:
        if self._child is not None and self._signal is not None:
            self._child.send(self._signal)

    async def _run_child(self) -> ExitStatus | None:
        """One child, from start to end; None where it could not even be started."""
        self.state, self._message = "starting", TerminationMessage()
        self.starts += 1
        try:
            self._child = await ChildProcess.start(self.spec, self._channel())
        except OSError as error:  # out of memory, files or processes: that may pass
            self._events.not_started(error.strerror or str(error))
            return None
        self.state = "running"
        self._events.started(self._child.pid)
        self._deliver()
        try:
            status = await self._child.end()
        finally:
            self._child = None
        self.failed = self._final(status)
        # A child that was stopped because another one refuses may not come to its exit code.
        self.refusal = self._message.reason if self.failed or self._stop.is_set() else ""
        if not self.refusal:
            self._show(self._message.end())
        return status

    def _line(self, line: str) -> None:
        self._show(self._message.feed(line))

    def _show(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._events.output(line)

    async def _pause(self, status: ExitStatus | None, delay_s: float) -> None:
        self.state = "waiting"
        self._events.ended(status, delay_s)
        with suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await self._stop.wait()


class _Restarts:
    """How long the next start waits."""

    def __init__(self, policy: RestartPolicy, rng: random.Random, clock: Callable[[], float]) -> None:
        self._policy = policy
        self._rng = rng
        self._clock = clock
        self._began_s = 0.0
        self._failures = 0

    def began(self) -> None:
        """A child is being started."""
        self._began_s = self._clock()

    def delay_s(self) -> float:
        """That child has ended by itself: seconds to wait before the next start."""
        uptime_s = self._clock() - self._began_s
        self._failures = self._policy.failures_after(self._failures, uptime_s)
        return self._policy.delay_s(self._failures, self._rng)
