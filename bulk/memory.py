"""`--memory`: what it allows each step to hold. No I/O but the look at this process's memory."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tfleet.bulk.errors import CannotScoreError

DEFAULT_MEMORY: Final = "1GB"
LEAST_BYTES: Final = 64_000_000
_LIBRARY_BYTES: Final = 64_000_000
"""What the libraries take beside a table's rows once these come: 35 MB were measured, whatever `--memory` is.
Images are decoded into memory that the first run of the model has taken already.
"""
_UNITS: Final = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_BINARY: Final = {"KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}
_SIZE: Final = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[KMGT]?I?)B?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class MemoryShares:
    """The bytes of a piece that is read, of a batch that runs, and of a part that is collected and written.

    At a time there is a part that is read, one that is scored and one that is written, each of which is
    there twice for a moment, and a few batches and pieces. Together that is an eighth of the memory; the rest
    is for the model and the libraries.
    """

    piece_bytes: int
    batch_bytes: int
    part_bytes: int

    @property
    def together(self) -> int:
        """What all of them take at most, as a sum."""
        return 8 * self.part_bytes


def shares(memory_bytes: int) -> MemoryShares:
    """The shares of so much memory."""
    return MemoryShares(memory_bytes // 256, memory_bytes // 128, memory_bytes // 64)


def decoder_bytes(memory_bytes: int) -> int:
    """What the processes that decode costly images may take together, besides the memory of this one."""
    return memory_bytes // 4


def parse_size(text: str) -> int:
    """Bytes, of a text such as `1GB`, `512 MiB` or `1.5G`. Raises ValueError."""
    found = _SIZE.fullmatch(text.strip())
    units = _UNITS | _BINARY
    unit = "" if found is None else found["unit"].upper()
    if found is None or unit not in units:
        raise ValueError(f"{text[:40]!r} is no size: write it as 1GB, 512MB or 2GiB")
    size = int(float(found["number"]) * units[unit])
    if size < LEAST_BYTES:
        raise ValueError(f"{text} is less than the {LEAST_BYTES // 10**6} MB that a run needs")
    return size


def check_memory(memory_bytes: int, held: MemoryShares, *, images: bool = False) -> None:
    """Raise CannotScoreError if the model leaves no room for the rows."""
    resident = resident_bytes()
    libraries = 0 if images else _LIBRARY_BYTES
    taken = resident + libraries
    if taken + held.together > memory_bytes:
        least = 1.02 * taken * 8 / 7  # a little more, as the next process does not take the same to the byte
        raise CannotScoreError(
            f"this process takes {resident // 10**6} MB before the first row, and --memory is "
            f"{memory_bytes // 10**6} MB, of which rows need an eighth and libraries "
            f"{libraries // 10**6} MB: give --memory {math.ceil(least / 10**6)}MB or more"
        )


def resident_bytes() -> int:
    """The memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
