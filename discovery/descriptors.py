"""Open files: a process of the fleet needs one for each connection, and the usual limit is 1024."""

from __future__ import annotations

import resource


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
