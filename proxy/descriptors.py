"""Open files: each client may need one connection of its own and one to a worker."""

from __future__ import annotations

from typing import Final

from tfleet.discovery.descriptors import files_allowed

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
