"""The limit on open files (RLIMIT_NOFILE): raised as far as allowed, with a warning if that is not enough.

A server needs one open file for each connection, and a proxy two (client and worker). The usual soft limit
is 1024.
"""

from __future__ import annotations

import resource
from typing import Final


def raise_open_files_limit(wanted: int) -> int:
    """Raise this process's limit up to `wanted`, as far as the hard limit allows. Returns the limit now in
    effect, at most `wanted`.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _least(soft, wanted) == wanted:
        return wanted
    raised = _least(hard, wanted)
    resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
    return raised


def _least(limit: int, wanted: int) -> int:
    return wanted if limit == resource.RLIM_INFINITY else min(limit, wanted)


# Standard streams, listening sockets, connections to the registry, and the event loop's own.
_OTHER_FILES: Final = 64


def open_files_warning(max_connections: int) -> str | None:
    """Raise this process's limit for so many connections. Returns one line if the limit is still too low,
    otherwise None.
    """
    wanted = 2 * max_connections + _OTHER_FILES
    allowed = raise_open_files_limit(wanted)
    if allowed == wanted:
        return None
    return (
        f"--max-connections {max_connections} can take {wanted} open files and the limit is {allowed}: "
        "raise it (ulimit -n, LimitNOFILE=) or allow fewer connections"
    )
