"""What a supervised process tells of itself, for tests to read and to wait on."""

from __future__ import annotations

import asyncio

from tfleet.runtime.child_process import ExitStatus

_PATIENCE_S = 20.0


class RecordedEvents:
    """ProcessEvents, a line each."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.pids: list[int] = []
        self._written = asyncio.Event()

    async def until(self, text: str, times: int = 1) -> None:
        """Wait until so many lines begin with `text`."""
        async with asyncio.timeout(_PATIENCE_S):
            while sum(line.startswith(text) for line in self.lines) < times:
                self._written.clear()
                await self._written.wait()

    def started(self, pid: int) -> None:
        self.pids.append(pid)
        self._write(f"started {pid}")

    def not_started(self, reason: str) -> None:
        self._write(f"not started: {reason}")

    def output(self, line: str) -> None:
        self._write(f"output: {line}")

    def ended(self, status: ExitStatus | None, restart_in_s: float) -> None:
        self._write(f"ended ({status}): restart in {restart_in_s:.1f} s")

    def overdue(self, timeout_s: float) -> None:
        self._write(f"overdue after {timeout_s:g} s")

    def _write(self, line: str) -> None:
        self.lines.append(line)
        self._written.set()
