"""Whether the data of an Arrow column are what its type says: pyarrow's check, with the place in words."""

from __future__ import annotations

from typing import Final

import pyarrow as pa
from pyarrow import types

from tfleet.worker.api.protocols.problems import bad_input, place, quoted

_MOST_REASON: Final = 150


def check_column(column: pa.Array, name: str, before: int) -> None:
    """Raise ProblemError (400) for a column of a batch whose data are damaged.

    It names the row where it can; `before` is how many rows came before the batch.
    """
    try:
        column.validate(full=True)
    except pa.ArrowException as error:
        for row, content in enumerate(_raw_strings(column)):
            if not _is_utf8(content):
                where = place(name, before + row, word="column")
                raise bad_input(f"{where}: the string is not UTF-8") from error
        raise bad_input(f"column {quoted(name)}: the Arrow data are not valid: {reason(error)}") from error


def reason(error: Exception) -> str:
    """What pyarrow says, in one short line."""
    return " ".join(str(error).split())[:_MOST_REASON]


def _raw_strings(column: pa.Array) -> list[bytes | None]:
    """The bytes of a column of strings; none of another column, or where its offsets are damaged, too."""
    if not (types.is_string(column.type) or types.is_large_string(column.type)):
        return []
    try:
        raw = column.view(pa.binary() if types.is_string(column.type) else pa.large_binary())
        raw.validate(full=True)
    except pa.ArrowException:
        return []
    found: list[bytes | None] = raw.to_pylist()
    return found


def _is_utf8(content: bytes | None) -> bool:
    try:
        (content or b"").decode()
    except UnicodeDecodeError:
        return False
    return True
