"""Becomes another program, one that is told to stop when the process that started it dies.

    python parent_death.py PARENT_PID PROGRAM [ARGUMENT ...]

A parent stops its children itself, whatever ends it but SIGKILL. After a SIGKILL the kernel stops them, with
SIGTERM, so that they drain as ever. This is a program of its own, run by its path, and not a `preexec_fn`:
that runs between fork and exec, where nothing may take a lock that another thread holds, and on Python 3.11
asyncio keeps a thread for each child. This program runs after the exec, in a fresh process.

The kernel's rule (prctl(2)): the signal comes when the *thread* that forked ends. asyncio and uvloop fork in
the thread of the event loop, which is the main thread in every program of ours that has children. Only Linux
has this signal; elsewhere the program just runs.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_CANNOT_EXECUTE = 126  # what a shell says of a program that it cannot run


def dying_with_parent(argv: Sequence[str]) -> tuple[str, ...]:
    """The command that runs `argv` as a child that does not outlive this process."""
    # Isolated and without site: it needs nothing but the standard library, and starts in 20 ms.
    return (sys.executable, "-I", "-S", __file__, str(os.getpid()), *argv)


def _main(parent_pid: int, argv: list[str]) -> int:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent_pid:  # it died before it could be watched
            return 0
    try:
        os.execvp(argv[0], argv)  # noqa: S606 - no shell is wanted
    except OSError as error:
        print(f"cannot run {argv[0]}: {error.strerror}", file=sys.stderr)
    return _CANNOT_EXECUTE


if __name__ == "__main__":
    sys.exit(_main(int(sys.argv[1]), sys.argv[2:]))
