"""Orphans: processes whose parent has ended. A subreaper becomes their parent, as init otherwise does.

See PR_SET_CHILD_SUBREAPER in prctl(2). Of a process that another one has forked for it, the subreaper learns
the exit code, and that process gets its signal when the subreaper dies. It also becomes the parent of orphans
that it does not know, such as a helper of a worker that was killed, and has to reap them.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

_PR_SET_CHILD_SUBREAPER: Final = 36  # linux/prctl.h
# Fields of /proc/PID/stat after the name, see proc_pid_stat(5).
_STATE, _SESSION = 0, 3
_LOOK_S: Final = 2.0


def become_subreaper() -> bool:
    """Become the parent of the orphans among this process's descendants. False where the system does not
    allow that.
    """
    if sys.platform != "linux":
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))  # what ReapedChild needs; a container may forbid it
    except OSError:
        return False
    return bool(ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)


async def keep_reaping(stop: asyncio.Event) -> None:
    """Reap unknown orphans until `stop` is set. All children that this process starts lead sessions."""
    while not stop.is_set():
        reap_orphans()
        with suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_S):
                await stop.wait()


def reap_orphans() -> None:
    """Reap the children that have ended and that this process has not started.

    Those that it has started belong to who waits for them. They lead a session, or are in this process's own
    as long as they have not begun: an orphan is in another one's.
    """
    own_session = os.getsid(0)
    for pid, session in _ended_children():
        if session not in {pid, own_session}:
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def _ended_children() -> Iterator[tuple[int, int]]:
    """The process id and session of each child that has ended and was not reaped."""
    # Of each thread those that it has started; orphans go to one that lives.
    for thread in Path("/proc/self/task").iterdir():
        for pid in _words(thread / "children"):
            fields = _words(Path("/proc", pid, "stat"), after=")")
            if fields and fields[_STATE] == "Z":
                yield int(pid), int(fields[_SESSION])


def _words(path: Path, *, after: str = "") -> list[str]:
    """The words in a file of a thread or process, behind the last `after`; none if it has ended since."""
    try:
        text = path.read_text()
    except OSError:
        return []
    return (text.rpartition(after)[2] if after else text).split()


class ReapedChild:
    """Reaps a child that this process has not started by itself, as soon as it ends.

    Raises OSError in the constructor if this process has too many open files; the child is killed then.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        try:
            self._fd = os.pidfd_open(pid)
        except OSError:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        self._code: int | None = None
        self._ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._fd, self._on_end)

    def __repr__(self) -> str:
        return f"<ReapedChild {self.pid} returncode={self._code}>"

    async def returncode(self) -> int:
        """Wait until it has ended; its exit code, or minus the signal that killed it."""
        await self._ended.wait()
        assert self._code is not None
        return self._code

    def _on_end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._fd)
        os.close(self._fd)
        try:
            self._code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        except ChildProcessError:  # it was reaped by another, as nothing here does: then it is not known
            self._code = _UNKNOWN
        self._ended.set()


_UNKNOWN: Final = 255
"""As asyncio has it for a child that another one has reaped."""
