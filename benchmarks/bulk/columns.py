"""The columns of the rows."""

from __future__ import annotations

from typing import Final

COLUMNS: Final = tuple(f"G{number}" for number in range(1, 11))
