"""How many CPUs this process may use: those of its affinity, and no more than its cgroup's quota pays for.

`os.cpu_count()` is the machine's. In a container with `--cpus 2` on 64 CPUs a thread for each of them would
use up the quota of a period in its first 3 ms, and then all of them would stand still for 97.

Rules:
- A quota holds for a group and all below it, so the least of the group's own and its ancestors' counts.
- Part of a CPU counts as one more: 1.5 is 2, as Go's runtime and the JVM have it. One thread less would leave
  paid time unused.
- What can't be read limits nothing.
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
# Where the quota's field is among those of a line of mountinfo, see proc_pid_mountinfo(5).
_MOUNT_ROOT, _MOUNT_POINT = 3, 4


@dataclass(frozen=True, slots=True)
class _Group:
    """The folder of this process's control group, and that of the mount it is in, where the ancestors end."""

    folder: Path
    top: Path

    def lineage(self) -> Iterator[Path]:
        """The group and its ancestors."""
        for folder in (self.folder, *self.folder.parents):
            yield folder
            if folder == self.top:
                return


def usable_cpus(root: Path = _ROOT) -> int:
    """At least 1. `root` is where /proc and /sys are."""
    cpus = len(os.sched_getaffinity(0))
    quota = cpu_quota(root)
    return cpus if quota is None else max(1, min(cpus, math.ceil(quota)))


def fair_share(cpus: int, workers: int) -> int:
    """How many of these CPUs each of so many workers is to use; at least 1."""
    return max(1, cpus // workers)


def cpu_quota(root: Path = _ROOT) -> float | None:
    """The CPUs that the cgroups (v1 or v2) of this process pay for; None where there is no limit."""
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
    """What a file cpu.max says: `200000 100000` is 2.0 CPUs, `max 100000` is None."""
    quota, _, period = cpu_max.partition(" ")
    return None if quota == "max" else quota_v1(quota, period)


def quota_v1(quota_us: str, period_us: str) -> float | None:
    """What the two files of cgroup v1 say; -1 is no quota."""
    try:
        quota, period = int(quota_us), int(period_us)
    except ValueError:
        return None
    return quota / period if quota > 0 and period > 0 else None


def _groups(memberships: str, mounts: str, root: Path) -> Iterator[_Group]:
    """The groups that have to do with CPUs: the one of v2, and that of v1's controller `cpu`."""
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
        # A container may see its own group mounted at the top and yet be told the path that the host sees.
        inside = Path(path).relative_to(mounted) if Path(path).is_relative_to(mounted) else Path()
        yield _Group(top / inside, top)


def _mount(mounts: str, kind: str, controller: str | None) -> tuple[str, str] | None:
    """Which folder of that file system is mounted, and where."""
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
