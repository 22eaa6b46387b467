"""The problems that a codec raises, and how they name values, places and lists of names.

Whatever a client sent is cut and quoted before it goes into a message.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

from tfleet.contract.problem import Problem, ProblemError

_MAX_NAMED: Final = 10
_MAX_CHARS: Final = 40


class CellError(Exception):
    """A value cannot be used. `index` is its place among the values; the message says what is wrong."""

    def __init__(self, index: int, what: str) -> None:
        super().__init__(what)
        self.index = index


def bad_input(detail: str) -> ProblemError:
    """400: the body or the query is wrong."""
    return ProblemError(Problem(400, detail))


def too_large(detail: str) -> ProblemError:
    """413: the body is over a limit."""
    return ProblemError(Problem(413, detail))


def wrong_media_type(detail: str) -> ProblemError:
    """415: the body is in no form that is read here."""
    return ProblemError(Problem(415, detail))


def not_acceptable(detail: str) -> ProblemError:
    """406: the outputs cannot be written in the form that was asked for."""
    return ProblemError(Problem(406, detail))


def quoted(text: str) -> str:
    """Text from a client, quoted and cut."""
    return repr(text if len(text) <= _MAX_CHARS else text[: _MAX_CHARS - 3] + "...")


def names_text(names: Iterable[str]) -> str:
    """Names, quoted; at most ten of them."""
    every = list(names)
    more = f" and {len(every) - _MAX_NAMED} more" if len(every) > _MAX_NAMED else ""
    return ", ".join(map(quoted, every[:_MAX_NAMED])) + more


def shown(value: Any) -> str:
    """A value of a JSON document as a message has it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    if isinstance(value, str):
        return f"the string {quoted(value)}"
    if isinstance(value, int) and value.bit_length() > 1000:  # noqa: PLR2004 - repr of it may take seconds
        return "a number of hundreds of digits"
    if type(value) is float and math.isinf(value):  # 1e400; an Infinity that was sent is of another type
        return "a number beyond 1.8e308"
    text = repr(value)
    return text if len(text) <= _MAX_CHARS else text[: _MAX_CHARS - 3] + "..."


def place(name: str, row: int | None = None, inner: Sequence[int] = (), *, word: str = "input") -> str:
    """Where a value stands: `column 'G1', row 2 (the first is 0)`. `inner` is its place in the row."""
    at = f" at {list(map(int, inner))}" if inner else ""
    return f"{word} {quoted(name)}" + ("" if row is None else f", row {row} (the first is 0)") + at


def counted(number: int, noun: str) -> str:
    """Such as `1 value` and `2 values`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def check_names(
    found: Sequence[str], expected: Sequence[str], where: str, optional: Collection[str] = ()
) -> None:
    """Raise ProblemError unless `found` has each expected name once, in any order, and no other name.

    Those that are `optional` may be left out, but not all names.
    """
    known = frozenset(expected)
    if len(found) == len(known) and known == set(found):
        return
    seen: set[str] = set()
    for name in found:
        if name in seen:
            raise bad_input(f"{where} has {quoted(name)} twice: send each name once")
        seen.add(name)
    unknown = [name for name in found if name not in known]
    if unknown:
        raise bad_input(
            f"{where} has {names_text(unknown)}, unknown to the model: it takes {names_text(expected)}"
        )
    missing = [name for name in expected if name not in seen and (name not in optional or not seen)]
    if missing:
        raise bad_input(
            f"{where} lacks {names_text(missing)}: send a value for each of {names_text(expected)}"
        )
