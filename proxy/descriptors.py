"""Open files: each client may need one connection of its own and one to a worker."""

from __future__ import annotations

import resource
from typing import Final

# Standard streams, the listening sockets, the registry's connections, the event loop's own.
_BESIDE: Final = 64


def needed(max_connections: int) -> int:
    """How many open files so many clients can take at the most."""
    return 2 * max_connections + _BESIDE


def shortage(max_connections: int) -> str | None:
    """Raise this process's limit as far as it may; what is missing even so, in one line, or None."""
    wanted = needed(max_connections)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _enough(soft, wanted):
        return None
    raised = wanted if _enough(hard, wanted) else hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
    if raised == wanted:
        return None
    return (
        f"--max-connections {max_connections} can take {wanted} open files and the limit is {hard}: "
        "raise it (ulimit -n, LimitNOFILE=) or allow fewer connections"
    )


def _enough(limit: int, wanted: int) -> bool:
    return limit == resource.RLIM_INFINITY or limit >= wanted
