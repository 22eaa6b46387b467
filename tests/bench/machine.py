"""What a figure was measured on."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path


def machine() -> str:
    """Processor, CPUs this process may use, Python; one line."""
    found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    processor = found[1] if found else platform.processor()
    return f"{processor}, {len(os.sched_getaffinity(0))} CPUs, Python {platform.python_version()}"
