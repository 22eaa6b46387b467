"""Open files: a process of the fleet needs one for each connection, and the usual limit is 1024.

Open files: each client may need one connection of its own and one to a worker.
"""

from __future__ import annotations

import resource
from typing import Final


def files_allowed(wanted: int) -> int:
    """How many files this process may have open, up to `wanted`, its limit raised as far as it may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _least(soft, wanted) == wanted:
        return wanted
    raised = _least(hard, wanted)
    resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
    return raised


def _least(limit: int, wanted: int) -> int:
    return wanted if limit == resource.RLIM_INFINITY else min(limit, wanted)


# Standard streams, the listening sockets, the registry's connections, the event loop's own.
_BESIDE: Final = 64


def shortage(max_connections: int) -> str | None:
    """Raise this process's limit as far as it may; what is missing even so, in one line, or None."""
    wanted = 2 * max_connections + _BESIDE
    allowed = files_allowed(wanted)
    if allowed == wanted:
        return None
    return (
        f"--max-connections {max_connections} can take {wanted} open files and the limit is {allowed}: "
        "raise it (ulimit -n, LimitNOFILE=) or allow fewer connections"
    )
