"""Run a program that receives SIGTERM when its parent process dies.

    python parent_death.py PARENT_PID PROGRAM [ARGUMENT ...]

A parent stops its children itself unless it is killed with SIGKILL. After a SIGKILL the kernel sends the
children SIGTERM, so that they drain as usual. This is a separate program, not a `preexec_fn`: a
`preexec_fn` runs between fork and exec, where it must not take a lock that another thread holds, and on
Python 3.11 asyncio keeps a thread for each child. This program runs after the exec, in a fresh process.

The kernel's rule (prctl(2)): the signal is sent when the *thread* that forked ends. asyncio and uvloop
fork in the thread of the event loop, which is the main thread in every program here that has children.
Only Linux has this signal; on other systems the program just runs.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_CANNOT_EXECUTE = 126  # the exit code of shells for a program that cannot be executed


def dying_with_parent(argv: Sequence[str]) -> tuple[str, ...]:
    """Return the command that runs `argv` as a child that receives SIGTERM when this process dies."""
    # Isolated and without site: it needs only the standard library, and starts in 20 ms.
    return (sys.executable, "-I", "-S", __file__, str(os.getpid()), *argv)


def die_with(parent_pid: int) -> bool:
    """Ask for SIGTERM at the parent's death; False if it has died already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        return os.getppid() == parent_pid
    return True


def _main(parent_pid: int, argv: list[str]) -> int:
    if not die_with(parent_pid):
        return 0
    try:
        os.execvp(argv[0], argv)  # noqa: S606 - no shell is wanted
    except OSError as error:
        print(f"cannot run {argv[0]}: {error.strerror}", file=sys.stderr)
    return _CANNOT_EXECUTE


if __name__ == "__main__":
    sys.exit(_main(int(sys.argv[1]), sys.argv[2:]))
