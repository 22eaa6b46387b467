"""Run a program to its end, and watch the memory of its processes meanwhile."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.support.environment import users_environment

_EVERY_S: Final = 0.1
_PARENT, _SESSION, _USER, _SYSTEM, _RESIDENT = 1, 3, 11, 12, 21  # of /proc/PID/stat after the name
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Watched:
    """What a program printed, its seconds and CPU seconds, and (seconds, bytes) of its memory over time.

    The bytes are the resident memory of all its processes. What they share counts for each of them.
    """

    output: str = field(repr=False)
    seconds: float
    cpu_s: float
    memory: Sequence[tuple[float, int]] = field(repr=False)

    @property
    def most_bytes(self) -> int:
        """The most memory."""
        return max((size for _, size in self.memory), default=0)

    def most_between(self, begin_s: float, end_s: float) -> int:
        """The most memory within these seconds, of the looks there were, and of the last one before."""
        before = [size for when_s, size in self.memory if when_s < begin_s][-1:]
        return max(before + [size for when_s, size in self.memory if begin_s <= when_s <= end_s], default=0)


def watched(argv: Sequence[str], *, cwd: Path) -> Watched:
    """Run the program. Raises SystemExit with its last words where it fails."""
    used_s, began_s = _children_cpu_s(), time.perf_counter()
    memory: list[tuple[float, int]] = []
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            argv, stdout=output, stderr=errors, cwd=cwd, env=users_environment(), start_new_session=True
        )
        tree = ProcessTree(process.pid)
        while process.poll() is None:
            memory.append((time.perf_counter() - began_s, tree.resident_bytes()))
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_EVERY_S)
        seconds = time.perf_counter() - began_s
        output.seek(0)
        errors.seek(0)
        if process.returncode:
            raise SystemExit(f"{' '.join(argv)} failed: {errors.read()[-2000:]}")
        # The system counts what has been waited for, which a JVM with its children is not.
        cpu_s = max(_children_cpu_s() - used_s, tree.cpu_s)
        return Watched(output.read(), seconds, cpu_s, memory)


class ProcessTree:
    """A process, its session and what descends from it."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._belongs = {root: True}
        self._ticks: dict[int, int] = {}

    def __repr__(self) -> str:
        return f"<ProcessTree {self._root}>"

    def resident_bytes(self) -> int:
        """The resident memory of all of them. It notes their CPU time, too."""
        pages = 0
        for folder in Path("/proc").glob("[0-9]*"):
            pid = int(folder.name)
            if self._belongs.get(pid, True):
                with contextlib.suppress(OSError):
                    pages += self._look(pid, (folder / "stat").read_text().rpartition(")")[2].split())
        return pages * resource.getpagesize()

    @property
    def cpu_s(self) -> float:
        """The CPU seconds of all of them at the last look, also of those that have ended."""
        return sum(self._ticks.values()) / _TICKS_PER_S

    def _look(self, pid: int, fields: Sequence[str]) -> int:
        """Its pages, if it is one of them. Who is none is not looked at again: looking costs time, too."""
        if pid not in self._belongs:
            parent, session = int(fields[_PARENT]), int(fields[_SESSION])
            self._belongs[pid] = session == self._root or self._belongs.get(parent, False)
        if not self._belongs[pid]:
            return 0
        self._ticks[pid] = int(fields[_USER]) + int(fields[_SYSTEM])
        return int(fields[_RESIDENT])


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
