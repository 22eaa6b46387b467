"""Which TCP ports a process listens on, as Linux's /proc has it.

A worker on `--port 0` has a port that only it knows. Its parent finds it in a proxy's table by this port.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_LISTEN: Final = "0A"
# Columns of a line of /proc/PID/net/tcp, see proc_pid_net(5).
_LOCAL, _STATE, _INODE = 1, 3, 9


def listening_ports(pid: int, proc: Path = _PROC) -> frozenset[int]:
    """The TCP ports that a process of this user listens on; none if it has ended."""
    folder = proc / str(pid)
    ports: dict[str, int] = {}
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            ports |= ports_by_inode((folder / "net" / table).read_text())
    found = set()
    with suppress(OSError):
        for descriptor in (folder / "fd").iterdir():
            with suppress(OSError):  # closed meanwhile
                kind, _, inode = str(descriptor.readlink()).partition(":")
                if kind == "socket" and inode.strip("[]") in ports:
                    found.add(ports[inode.strip("[]")])
    return frozenset(found)


def ports_by_inode(table: str) -> dict[str, int]:
    """The ports of the listening sockets in a table of /proc/PID/net, by their inodes."""
    rows = (line.split() for line in table.splitlines()[1:])
    return {
        row[_INODE]: int(row[_LOCAL].rpartition(":")[2], 16)
        for row in rows
        if len(row) > _INODE and row[_STATE] == _LISTEN
    }
