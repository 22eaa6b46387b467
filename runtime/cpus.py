"""How many CPUs this process may use: its CPU affinity, limited by the quotas of its cgroups.

`os.cpu_count()` counts the CPUs of the machine. In a container with `--cpus 2` on a machine with 64 CPUs,
one thread for each of them would use up the quota of a period in its first 3 ms, and then all threads
would be throttled for 97 ms.

Rules:

- A quota applies to a cgroup and all its descendants, so the smallest of the cgroup's own and its
  ancestors' is used.
- A fractional quota is rounded up: 1.5 becomes 2, as in Go's runtime and the JVM. Rounding down would
  leave quota unused.
- A file that cannot be read sets no limit.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_ROOT: Final = Path("/")
# Positions of fields in a line of mountinfo, see proc_pid_mountinfo(5).
_MOUNT_ROOT, _MOUNT_POINT = 3, 4


@dataclass(frozen=True, slots=True)
class _Group:
    """The directory of this process's cgroup, and the mount point above it, where its ancestors end."""

    folder: Path
    top: Path

    def lineage(self) -> Iterator[Path]:
        """The group and its ancestors."""
        for folder in (self.folder, *self.folder.parents):
            yield folder
            if folder == self.top:
                return


def usable_cpus(root: Path = _ROOT) -> int:
    """Return the number of usable CPUs, at least 1. `root` is the directory that holds /proc and /sys."""
    cpus = len(os.sched_getaffinity(0))
    quota = cpu_quota(root)
    return cpus if quota is None else max(1, min(cpus, math.ceil(quota)))


def fair_share(cpus: int, workers: int) -> int:
    """Divide CPUs among workers; each gets at least 1."""
    return max(1, cpus // workers)


def cpu_quota(root: Path = _ROOT) -> float | None:
    """Return the smallest CPU quota of this process's cgroups (v1 or v2), in CPUs; None without a limit."""
    memberships = _read(root / "proc/self/cgroup")
    mounts = _read(root / "proc/self/mountinfo")
    quotas = [
        quota
        for group in _groups(memberships, mounts, root)
        for folder in group.lineage()
        for quota in (
            quota_v2(_read(folder / "cpu.max")),
            quota_v1(_read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")),
        )
        if quota is not None
    ]
    return min(quotas, default=None)


def quota_v2(cpu_max: str) -> float | None:
    """Parse a cpu.max file: `200000 100000` is 2.0 CPUs, `max 100000` is None."""
    quota, _, period = cpu_max.partition(" ")
    return None if quota == "max" else quota_v1(quota, period)


def quota_v1(quota_us: str, period_us: str) -> float | None:
    """Parse the two files of cgroup v1; a quota of -1 means no limit."""
    try:
        quota, period = int(quota_us), int(period_us)
    except ValueError:
        return None
    return quota / period if quota > 0 and period > 0 else None


def _groups(memberships: str, mounts: str, root: Path) -> Iterator[_Group]:
    """Yield the cgroups with CPU quotas: the one of v2, and the one of v1's controller `cpu`."""
    for line in memberships.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0":
            mount = _mount(mounts, "cgroup2", None)
        elif "cpu" in controllers.split(","):
            mount = _mount(mounts, "cgroup", "cpu")
        else:
            continue
        if mount is None:
            continue
        mounted, point = mount
        top = root / point.lstrip("/")
        # In a container the cgroup may be mounted at the top, while /proc/self/cgroup has the host's path.
        inside = Path(path).relative_to(mounted) if Path(path).is_relative_to(mounted) else Path()
        yield _Group(top / inside, top)


def _mount(mounts: str, kind: str, controller: str | None) -> tuple[str, str] | None:
    """Return the mounted directory and the mount point of a cgroup file system."""
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        fields, about = left.split(), right.split()
        if not about or about[0] != kind:
            continue
        if controller is None or controller in about[-1].split(","):
            return fields[_MOUNT_ROOT], fields[_MOUNT_POINT]
    return None


def _read(path: Path) -> str:
    with suppress(OSError):
        return path.read_text().strip()
    return ""
