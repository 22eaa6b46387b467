"""The names by which Docker may know the container that this process runs in.

There is no official way to find out. The files that Docker mounts into each container (/etc/hostname and
others) come from a folder with the container's id, with both versions of cgroups and any host name. The paths
of cgroups version 1 contain the id. The host name is the start of the id unless the operator chose another.
docker-gen and caddy-docker-proxy look in the same order.
"""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import Final

_MOUNTED: Final = re.compile(
    r"/(?:overlay-)?containers/([0-9a-f]{64})/(?:userdata/)?(?:hostname|hosts|resolv\.conf) "
)
_IN_A_PATH: Final = re.compile(r"[/-]([0-9a-f]{64})(?:\.scope)?$", re.MULTILINE)


def possible_ids(mountinfo: str, cgroup: str, hostname: str) -> tuple[str, ...]:
    """The possible names, the likeliest first. `mountinfo` and `cgroup` are the texts of those files in
    /proc/self.
    """
    return tuple(dict.fromkeys([*_MOUNTED.findall(mountinfo), *_IN_A_PATH.findall(cgroup), hostname]))


def own_container_ids() -> tuple[str, ...]:
    """The possible names of this process's container."""
    return possible_ids(_read("/proc/self/mountinfo"), _read("/proc/self/cgroup"), socket.gethostname())


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""
