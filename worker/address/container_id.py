"""By what names the engine may know the container that this process is in. No I/O but reading them.

There is no official way. The files that an engine mounts into each container (/etc/hostname and others) come
from a folder with the container's id, which holds for cgroups of both versions and whatever the host's name;
cgroups of version 1 have it in their paths; and the host's name is the beginning of it, unless somebody chose
another. In this order others look for it, too (docker-gen, caddy-docker-proxy).
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


def names(mountinfo: str, cgroup: str, hostname: str) -> tuple[str, ...]:
    """The likeliest first, each once. The first two are what /proc/self has under their names."""
    return tuple(dict.fromkeys([*_MOUNTED.findall(mountinfo), *_IN_A_PATH.findall(cgroup), hostname]))


def own_names() -> tuple[str, ...]:
    """Those of this process."""
    return names(_read("/proc/self/mountinfo"), _read("/proc/self/cgroup"), socket.gethostname())


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""
