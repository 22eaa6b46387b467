"""How much is worked on at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_IMAGES: Final = (8, 1024)
_ROWS: Final = (4096, 131_072)


@dataclass(frozen=True, slots=True)
class SizeOptions:
    """The options. A value of None depends on what is scored."""

    memory_bytes: int
    batch_rows: int | None
    part_rows: int | None

    def resolved(self, *, images: bool) -> ResolvedSizes:
        """The sizes for images, of which each takes long and much, or for rows."""
        batch_rows, part_rows = _IMAGES if images else _ROWS
        return ResolvedSizes(self.batch_rows or batch_rows, self.part_rows or part_rows)


@dataclass(frozen=True, slots=True)
class ResolvedSizes:
    """The rows of a batch and of a part."""

    batch_rows: int
    part_rows: int
