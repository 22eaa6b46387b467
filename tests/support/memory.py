"""The memory of processes."""

import os
from pathlib import Path


def resident_bytes() -> int:
    """What it has in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def resident_bytes_of(pid: int) -> int:
    """What this process and those that it has started have in memory now; nothing of one that has ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = {int(each) for task in tasks for each in (task / "children").read_text().split()}
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") + sum(map(resident_bytes_of, children))


def proportional_bytes_of(pid: int) -> int:
    """The same, with memory that several of them share counted once: a child that has just been forked shares
    all that its parent has.
    """
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = {int(each) for task in tasks for each in (task / "children").read_text().split()}
    except (FileNotFoundError, ProcessLookupError):
        return 0
    kib = sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return kib * 1024 + sum(map(proportional_bytes_of, children))
