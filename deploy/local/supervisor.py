"""Starts the processes of a fleet stage by stage, and stops the stages in reverse order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tfleet.contract.address import Address
from tfleet.runtime.supervised_process import SupervisedProcess

_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Stage:
    """Processes that start and stop together; later stages wait until something listens on `listens`,
    which is an address or the path of a unix socket.

    `keep` runs beside them: it may start and end further processes, which it puts into `processes`, until
    the event is set that it gets.
    """

    processes: Sequence[SupervisedProcess]
    listens: Address | Path | None = None
    keep: Callable[[asyncio.Event], Awaitable[None]] | None = None


class Supervisor:
    """Owns all processes: when `run` has returned, none of them is left."""

    def __init__(self, stages: Sequence[Stage], *, stop_timeout_s: float) -> None:
        self._stages = tuple(stages)
        self._stop_timeout_s = stop_timeout_s
        self.stop_asked = asyncio.Event()
        """Set by `stop` and by a process that failed; for others to wait on."""
        self.killed = False
        self.failed: SupervisedProcess | None = None
        """The first process that ended in a way that no restart helps; it ends the others."""

    def __repr__(self) -> str:
        states = [process.state for process in self._processes]
        counts = ", ".join(f"{states.count(state)} {state}" for state in sorted(set(states)))
        return f"<Supervisor of {counts or 'nothing'}>"

    @property
    def _processes(self) -> tuple[SupervisedProcess, ...]:
        return tuple(process for stage in self._stages for process in stage.processes)

    def stop(self) -> None:
        """Ask `run` to stop all in order. Asked once more, it kills all at once."""
        if self.stop_asked.is_set():
            self.killed = True
            for process in self._processes:
                process.kill()
        self.stop_asked.set()

    async def run(self) -> None:
        """Run the processes until `stop` is called or one of them fails for good, then stop them.

        Each stage gets `stop_timeout_s` seconds from its SIGTERM before it is killed.
        """
        started: list[Stage] = []
        async with asyncio.TaskGroup() as group:
            for stage in self._stages:
                if self.stop_asked.is_set():
                    break
                started.append(stage)
                for process in stage.processes:
                    group.create_task(self._keep(process))
                if stage.keep is not None:
                    group.create_task(self._keep_stage(stage.keep))
                await self._listening(stage.listens)
            await self.stop_asked.wait()
            for stage in reversed(started):
                async with asyncio.TaskGroup() as stopping:
                    for process in tuple(stage.processes):
                        stopping.create_task(process.stop(self._stop_timeout_s))

    async def _keep(self, process: SupervisedProcess) -> None:
        if await process.run() is not None and not self.stop_asked.is_set():
            self.failed = process
            self.stop_asked.set()

    async def _keep_stage(self, keep: Callable[[asyncio.Event], Awaitable[None]]) -> None:
        await keep(self.stop_asked)

    async def _listening(self, where: Address | Path | None) -> None:
        while where is not None and not self.stop_asked.is_set():
            with suppress(OSError):
                if isinstance(where, Path):
                    _, writer = await asyncio.open_unix_connection(where)
                else:
                    _, writer = await asyncio.open_connection(where.host, where.port)
                writer.close()
                await writer.wait_closed()
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(_POLL_S):
                    await self.stop_asked.wait()
