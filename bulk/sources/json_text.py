"""The values of a JSON object as the line has them.

A parser makes a float of 1.10 and of an identifier of 20 digits, and neither comes back as it was.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any, Final

import orjson

_TOKEN: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],:]', re.DOTALL)
_AS_WRITTEN: Final = json.JSONDecoder(parse_float=str, parse_int=str)
_NAMES: Final = json.JSONDecoder(
    parse_float=str, parse_int=str, object_pairs_hook=lambda pairs: [name for name, _ in pairs]
)


class LineTexts:
    """The texts of the values in one line, which has to be a JSON object that was parsed."""

    __slots__ = ("_line", "_members", "_numbers")

    def __init__(self, line: bytes) -> None:
        self._line = line
        self._numbers: dict[str, Any] | None = None
        self._members: dict[str, str] | None = None

    def __repr__(self) -> str:
        return f"<LineTexts of {len(self._line)} bytes>"

    def of(self, name: str, value: float | list[Any] | dict[str, Any]) -> str:
        """The text of a value, which the parser has found under this name."""
        return self._number(name) if isinstance(value, float) else self._member(name)

    def _number(self, name: str) -> str:
        if self._numbers is None:
            try:
                self._numbers, _ = _AS_WRITTEN.raw_decode(self._line.decode().lstrip())
            except RecursionError:  # another value is nested more deeply than this parser can go
                return self._member(name)
        return str(self._numbers[name])

    def _member(self, name: str) -> str:
        if self._members is None:
            self._members = member_texts(self._line)
        return self._members[name]


def member_texts(line: bytes) -> dict[str, str]:
    """The text of each value by its name. The line has to be a JSON object."""
    return {name: text.decode() for name, text in _members(line)}


def double_name(line: bytes, names: Collection[str]) -> str | None:
    """A name that occurs twice in the object of a line; None if there is none. `names` are those parsed.

    A parser keeps the last value of such a name, and nobody can say whether it is the one that was meant.
    """
    if line.count(b":") == len(names):  # as each has one
        return None
    try:
        found, _ = _NAMES.raw_decode(line.decode().lstrip())
    except RecursionError:  # a value is nested more deeply than this parser can go
        found = [name for name, _ in _members(line)]
    return next((name for name, count in Counter(found).items() if count > 1), None)


def _members(line: bytes) -> Iterator[tuple[str, bytes]]:
    depth = begin = 0
    name = ""
    for token in _TOKEN.finditer(line):
        sign = token[0]
        if depth == 1 and sign == b":":
            name = orjson.loads(line[begin : token.start()])
            begin = token.end()
        elif depth == 1 and sign in {b",", b"}"}:
            if text := line[begin : token.start()].strip():  # `{}` has none
                yield name, text
            begin = token.end()
        if sign in {b"{", b"["}:
            depth += 1
            begin = token.end() if depth == 1 else begin
        elif sign in {b"}", b"]"}:
            depth -= 1
