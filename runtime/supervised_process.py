"""A child process that is kept running: it is started again whenever it ends.

Rules:

- Only `run` starts children and waits for them; `stop` and `kill` only send signals and wait for `run`.
- A signal sent while a child is being started is delivered as soon as the child exists.
- No child is started after `stay_down`, `stop` or `kill`.
- A child whose exit status is final is not restarted: `run` returns the status.
"""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Literal, Protocol, TypeAlias

from tfleet.runtime.backoff import RestartPolicy
from tfleet.runtime.child_process import Channel, ChildProcess, ChildSpec, ExitStatus, OutputPipe
from tfleet.runtime.termination_message import TerminationMessage

State = Literal["new", "starting", "running", "waiting", "ended"]
StartChild: TypeAlias = Callable[[ChildSpec, Channel], Awaitable[ChildProcess]]
"""Starts a child, as `ChildProcess.start` does. Raises OSError where the system has no room for it."""


class ProcessEvents(Protocol):
    """Callbacks about a supervised process. `restart_in_s` is the delay before the next start."""

    def started(self, pid: int) -> None: ...

    def not_started(self, reason: str) -> None: ...

    def output(self, line: str) -> None: ...

    def ended(self, status: ExitStatus | None, restart_in_s: float) -> None:
        """The child ended and will be restarted. `status` is None if it could not be started."""

    def overdue(self, timeout_s: float) -> None:
        """The child did not end within `timeout_s` of SIGTERM and will be killed."""


class SupervisedProcess:
    """Keeps a child running until it is stopped or its exit status is final.

    `channel` makes the connection to each child; by default the child's output goes to `events`. `final`
    says whether an exit status means that a restart would fail in the same way. `start` starts each child.
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
        start: StartChild = ChildProcess.start,
    ) -> None:
        self.spec = spec
        self.state: State = "new"
        self.starts = 0
        self.failed = False
        """Whether the exit status of the latest child was final."""
        self.final_reason = ""
        """Why the child cannot run, in its own words (its termination message), for the owner to report."""
        self._events = events
        self._channel = channel or (lambda: OutputPipe(self._on_line))
        self._final = final
        self._start = start
        rng = rng or random.Random()  # noqa: S311 - spreads restarts, guards nothing
        self._restarts = _Restarts(policy or RestartPolicy(), rng, clock)
        self._child: ChildProcess | None = None
        self._termination = TerminationMessage()
        self._signal: signal.Signals | None = None
        self._stop = asyncio.Event()
        self._ended = asyncio.Event()

    def __repr__(self) -> str:
        return f"<SupervisedProcess {self.spec.name} {self.state}, pid {self.pid}, {self.starts} starts>"

    @property
    def pid(self) -> int | None:
        """The process id of the running child, or None."""
        return self._child.pid if self._child else None

    async def run(self) -> ExitStatus | None:
        """Start the child, and restart it whenever it ends; return None after it was stopped.

        Returns its exit status if that is final: the caller decides what happens to the other processes.
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
        """Do not start another child after the current one."""
        self._stop.set()

    async def stop(self, timeout_s: float) -> None:
        """Send SIGTERM and wait until the child has ended; send SIGKILL after `timeout_s` seconds.

        A child that was sent a signal already gets no other one: some programs end at a second SIGTERM.
        """
        if self._signal is None:
            self._signal_child(signal.SIGTERM)
        try:
            async with asyncio.timeout(timeout_s):
                await self._ended.wait()
        except TimeoutError:
            self._events.overdue(timeout_s)
            self.kill()
            await self._ended.wait()

    def kill(self) -> None:
        """Send SIGKILL; a child with its own session is killed with all its processes."""
        self._signal_child(signal.SIGKILL)

    def _signal_child(self, wanted: signal.Signals) -> None:
        if self._signal is not signal.SIGKILL:  # a SIGTERM after it must not replace it
            self._signal = wanted
        self._stop.set()
        self._deliver()

    def _deliver(self) -> None:
        if self._child is not None and self._signal is not None:
            self._child.send(self._signal)

    async def _run_child(self) -> ExitStatus | None:
        """Run one child from start to end; returns None if it could not be started."""
        self.state, self._termination = "starting", TerminationMessage()
        self.starts += 1
        try:
            self._child = await self._start(self.spec, self._channel())
        except OSError as error:  # out of memory, files or processes: may be temporary
            self._events.not_started(error.strerror or str(error))
            return None
        self.state = "running"
        self._events.started(self._child.pid)
        # stop() may have been called while the child was starting.
        self._deliver()
        try:
            status = await self._child.end()
        finally:
            self._child = None
        self.failed = self._final(status)
        # A child that was stopped because another one failed for good may not reach its own exit code.
        self.final_reason = self._termination.reason if self.failed or self._stop.is_set() else ""
        if not self.final_reason:
            self._emit(self._termination.end())
        return status

    def _on_line(self, line: str) -> None:
        self._emit(self._termination.feed(line))

    def _emit(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._events.output(line)

    async def _pause(self, status: ExitStatus | None, delay_s: float) -> None:
        self.state = "waiting"
        self._events.ended(status, delay_s)
        with suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await self._stop.wait()


class _Restarts:
    """Computes the delay before the next start."""

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
        """Return the delay before the next start, after the child ended by itself."""
        uptime_s = self._clock() - self._began_s
        self._failures = self._policy.failures_after(self._failures, uptime_s)
        return self._policy.delay_s(self._failures, self._rng)
