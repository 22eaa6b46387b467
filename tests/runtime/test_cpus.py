"""A process uses as many CPUs as its affinity and its cgroup leave it, and no more."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tfleet.runtime.cpus import cpu_quota, fair_share, quota_v1, quota_v2, usable_cpus

V2 = "24 30 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = (
    "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "33 31 0:30 /docker/abc /sys/fs/cgroup/cpu,cpuacct rw master:9 - cgroup cgroup rw,cpu,cpuacct\n"
)


def tree(root: Path, cgroup: str, mounts: str, **files: str) -> Path:
    """A file system with the process's memberships, its mounts and the files of its groups."""
    for path, text in {"proc/self/cgroup": cgroup, "proc/self/mountinfo": mounts, **files}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


@pytest.mark.parametrize(
    ("cpu_max", "quota"),
    [
        ("max 100000", None),
        ("200000 100000", 2.0),
        ("50000 100000", 0.5),
        ("150000 100000", 1.5),
        ("", None),
        ("?", None),
    ],
)
def test_the_quota_of_cpu_max_is_read(cpu_max: str, quota: float | None) -> None:
    assert quota_v2(cpu_max) == quota


@pytest.mark.parametrize(
    ("quota_us", "period_us", "quota"),
    [
        ("-1", "100000", None),
        ("400000", "100000", 4.0),
        ("25000", "50000", 0.5),
        ("", "", None),
        ("1", "0", None),
    ],
)
def test_the_quota_of_cgroup_1_is_read(quota_us: str, period_us: str, quota: float | None) -> None:
    assert quota_v1(quota_us, period_us) == quota


def test_without_cgroups_there_is_no_quota(tmp_path: Path) -> None:
    assert cpu_quota(tmp_path) is None
    assert usable_cpus(tmp_path) == len(os.sched_getaffinity(0))


def test_the_least_quota_of_a_cgroup_and_its_ancestors_holds(tmp_path: Path) -> None:
    groups = "sys/fs/cgroup/"
    files = {
        f"{groups}pod/worker/cpu.max": "max 100000\n",
        f"{groups}pod/cpu.max": "150000 100000\n",
        f"{groups}cpu.max": "300000 100000\n",
    }
    assert cpu_quota(tree(tmp_path, "0::/pod/worker\n", V2, **files)) == 1.5


def test_a_container_that_sees_its_own_group_at_the_top(tmp_path: Path) -> None:
    assert cpu_quota(tree(tmp_path, "0::/\n", V2, **{"sys/fs/cgroup/cpu.max": "70000 100000\n"})) == 0.7


def test_cgroup_1_with_the_hosts_path_is_read(tmp_path: Path) -> None:
    folder = "sys/fs/cgroup/cpu,cpuacct/"
    files = {f"{folder}cpu.cfs_quota_us": "250000\n", f"{folder}cpu.cfs_period_us": "100000\n"}
    cgroup = "9:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n0::/system.slice\n"
    assert cpu_quota(tree(tmp_path, cgroup, V1, **files)) == 2.5


def test_a_group_below_the_one_that_is_mounted_is_found(tmp_path: Path) -> None:
    folder = "sys/fs/cgroup/cpu,cpuacct/worker/"
    files = {f"{folder}cpu.cfs_quota_us": "50000\n", f"{folder}cpu.cfs_period_us": "100000\n"}
    assert cpu_quota(tree(tmp_path, "4:cpu,cpuacct:/docker/abc/worker\n", V1, **files)) == 0.5


@pytest.mark.parametrize(
    ("cpu_max", "cpus"), [("1 100000", 1), ("100000 100000", 1), ("9900000 100000", None)]
)
def test_a_quota_never_adds_cpus(tmp_path: Path, cpu_max: str, cpus: int | None) -> None:
    root = tree(tmp_path, "0::/\n", V2, **{"sys/fs/cgroup/cpu.max": cpu_max})
    assert usable_cpus(root) == (cpus or len(os.sched_getaffinity(0)))


def test_part_of_a_cpu_counts_as_one_more(tmp_path: Path) -> None:
    if len(os.sched_getaffinity(0)) == 1:
        pytest.skip("wants two CPUs")
    root = tree(tmp_path, "0::/\n", V2, **{"sys/fs/cgroup/cpu.max": "110000 100000"})
    assert usable_cpus(root) == 2


def test_cpu_affinity_limits_the_cpus() -> None:
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
        "from tfleet.runtime.cpus import usable_cpus; print(usable_cpus())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, timeout=60, text=True, capture_output=True
    )
    assert done.stdout == "1\n"


@pytest.mark.parametrize(
    ("cpus", "workers", "share"), [(8, 2, 4), (8, 3, 2), (2, 2, 1), (2, 5, 1), (3, 1, 3)]
)
def test_workers_share_the_cpus_and_each_has_one(cpus: int, workers: int, share: int) -> None:
    assert fair_share(cpus, workers) == share
