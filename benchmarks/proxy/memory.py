"""The memory of a server: its growth up to the peak."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

_RESET_PEAK: Final = "5"  # proc(5), clear_refs


class Memory:
    """The memory of a server's processes, measured from now on."""

    def __init__(self, group: int) -> None:
        self._processes = [stat.parent for stat in Path("/proc").glob("[0-9]*/stat") if _group(stat) == group]
        for process in self._processes:
            (process / "clear_refs").write_text(_RESET_PEAK)
        self._before_bytes = self._total("VmRSS")

    def growth_bytes(self) -> int:
        """The growth from the start of the measurement to the peak, in bytes."""
        return self._total("VmHWM") - self._before_bytes

    def _total(self, field: str) -> int:
        total = 0
        for process in self._processes:
            found = re.search(rf"^{field}:\s*(\d+) kB", (process / "status").read_text(), re.MULTILINE)
            total += int(found[1]) * 1024 if found else 0
        return total


def _group(stat: Path) -> int:
    try:
        return int(stat.read_text().rpartition(")")[2].split()[2])
    except OSError:  # it has ended
        return 0
