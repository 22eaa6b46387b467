"""What `ps` shows as the command line of a process that was forked and did not exec.

The kernel keeps the address of the command line's text (arg_start and arg_end in proc_pid_stat(5)), which is
in the process's own memory. It can be overwritten, but not become longer: who starts the first process has to
leave room.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Final

# Fields of /proc/self/stat after the name.
_ARG_START, _ARG_END = 45, 46
ROOM: Final = "." * 4096
"""An argument that leaves room."""


def show_as(argv: Sequence[str]) -> None:
    """Show these arguments as this process's command line, as far as there is room."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end = int(fields[_ARG_START]), int(fields[_ARG_END])
    if 0 < start < end:
        text = "\0".join(argv).encode(errors="surrogateescape")[: end - start - 1]
        ctypes.memmove(start, text.ljust(end - start, b"\0"), end - start)
