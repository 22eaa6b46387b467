"""Validation of ids and labels from other processes: they go into headers, paths, log lines and tables.

Any process that can reach the registry can register any id. Entries with unsafe ids are rejected where
listings are read, so later code does not have to escape line ends, quotes or `..`.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

MAX_ID_CHARS: Final = 512
"""Enough for a service name, a host of 253 characters, a port and a nonce."""
MAX_SERVICE_CHARS: Final = 128
MAX_LABEL_CHARS: Final = 256
_MAX_ESCAPED_CHARS: Final = 80

_SEGMENT: Final = "[A-Za-z0-9._~:@+=-]+"
_TOKEN: Final = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*")
_DOT_SEGMENTS: Final = frozenset({".", ".."})
_LABEL_SIGNS: Final = "".join(map(chr, range(ord(" "), 0x7F)))


def is_token(text: str, *, most_chars: int = MAX_ID_CHARS) -> bool:
    """Whether the text is a valid id: letters, digits and `._~:@+=-`, in segments separated by slashes.

    No segment is `.` or `..`, because clients and servers resolve those as parts of a path.
    """
    if len(text) > most_chars or _TOKEN.fullmatch(text) is None:
        return False
    return _DOT_SEGMENTS.isdisjoint(text.split("/"))


def is_label(text: str) -> bool:
    """Whether the text is a valid model name or version: printable ASCII without spaces at its ends."""
    return len(text) <= MAX_LABEL_CHARS and text.isascii() and text.isprintable() and text == text.strip(" ")


def version_of_folder(name: str) -> str:
    """The version that a folder's name stands for: a number without leading zeros, as in TensorFlow Serving,
    where `00000123` is version 123; any other name as it is.
    """
    return (name.lstrip("0") or "0") if name.isascii() and name.isdigit() else name


def as_label(text: str) -> str:
    """Make a valid label from any text: other characters are percent-encoded, and long text is cut."""
    return quote(text.strip(), safe=_LABEL_SIGNS, errors="replace")[:MAX_LABEL_CHARS].strip(" ")


def escaped(text: str, most_chars: int = _MAX_ESCAPED_CHARS) -> str:
    """Escape untrusted text for one line: ASCII only, other characters as in Python literals, long text is
    cut.
    """
    cut = text[:most_chars]
    escaped = cut.encode("unicode_escape").decode("ascii")
    return escaped if len(cut) == len(text) else f"{escaped}..."
