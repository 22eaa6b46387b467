"""Rows that are objects, and the colons in what a document says (see JsonDocument.check_keys)."""

from __future__ import annotations

from collections.abc import Iterable
from operator import itemgetter
from typing import Any

from tfleet.worker.api.protocols.problems import bad_input, check_names, shown


def colons_of(names: Iterable[str]) -> int:
    """The colons of an object with these keys."""
    return sum(1 + name.count(":") for name in names)


def colons_in(flat: Iterable[Any]) -> int:
    """The colons of strings, and of the objects that hold bytes."""
    return sum(value.count(":") if type(value) is str else len(value) for value in flat)


def picked(rows: list[Any], names: tuple[str, ...]) -> list[tuple[Any, ...]]:
    """The values of rows in the order of `names`. Raises ProblemError (400) for a row with other names."""
    if set(map(type, rows)) == {dict} and set(map(len, rows)) == {len(names)}:
        try:
            if len(names) == 1:
                return [(row[names[0]],) for row in rows]
            return list(map(itemgetter(*names), rows))
        except KeyError:
            pass  # the loop finds the row
    for index, row in enumerate(rows):
        if type(row) is not dict:
            raise bad_input(f"row {index} (the first is 0) is {shown(row)}, and row 0 is an object")
        check_names(list(row), names, f"row {index} (the first is 0)")
    raise AssertionError("a row differs from the names, or none does")
