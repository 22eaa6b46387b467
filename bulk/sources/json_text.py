"""The values of a JSON object as the line has them.

A parser makes a float of 1.10 and of an identifier of 20 digits, and neither comes back as it was.
"""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

_TOKEN: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],:]', re.DOTALL)


def is_written_anew(value: Any) -> bool:
    """Whether a parsed value may differ from its text, once it is written again."""
    return isinstance(value, float | list | dict)


def member_texts(line: bytes) -> dict[str, str]:
    """The text of each value by its name. The line has to be a JSON object that was parsed."""
    found = {}
    depth = begin = 0
    name = ""
    for token in _TOKEN.finditer(line):
        sign = token[0]
        if depth == 1 and sign == b":":
            name = orjson.loads(line[begin : token.start()])
            begin = token.end()
        elif depth == 1 and sign in {b",", b"}"}:
            if text := line[begin : token.start()].strip():  # `{}` has none
                found[name] = text.decode()
            begin = token.end()
        if sign in {b"{", b"["}:
            depth += 1
            begin = token.end() if depth == 1 else begin
        elif sign in {b"}", b"]"}:
            depth -= 1
    return found
