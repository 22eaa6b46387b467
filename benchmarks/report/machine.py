"""The machine and the versions that a figure was measured with."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_CPUINFO = Path("/proc/cpuinfo")
QUIET: Final = 0.1
"""A machine on which strangers use more processors than this is not fit to be measured."""

_BFLOAT16 = frozenset({"avx512_bf16", "amx_bf16"})


def machine() -> str:
    """Processor, CPUs this process may use, Python; one line."""
    found = re.search(r"model name\s*: (.+)", _CPUINFO.read_text())
    processor = found[1] if found else platform.processor()
    return f"{processor}, {len(os.sched_getaffinity(0))} CPUs, Python {platform.python_version()}"


def versions(packages: Sequence[str]) -> str:
    """Installed packages with their versions; one line."""
    return ", ".join(f"{package} {importlib.metadata.version(package)}" for package in packages)


def busy(over_s: float) -> float:
    """How many of the machine's CPUs all processes together use, over this many seconds."""
    used = _busy_ticks()
    began_s = time.monotonic()
    time.sleep(over_s)
    return (_busy_ticks() - used) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - began_s)


def _busy_ticks() -> int:
    # See proc_stat(5): user, nice, system, idle, iowait, irq, softirq, steal.
    user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    return user + nice + system + irq + softirq + steal


def has_bfloat16() -> bool:
    """Whether the processor computes in bfloat16 by itself."""
    found = re.search(r"^flags\s*: (.+)$", _CPUINFO.read_text(), re.MULTILINE)
    return found is not None and not _BFLOAT16.isdisjoint(found[1].split())
