"""What may be an id or a label: data of strangers goes into headers, paths, log lines and tables.

Whoever may register anything may register under any id. What is no plain token is refused where listings are
read, so that nothing behind that has to think of line ends, quotes or `..`.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

MOST_ID_CHARS: Final = 512
"""A service, a host of 253 characters, a port and a nonce, with room."""
MOST_SERVICE_CHARS: Final = 128
MOST_LABEL_CHARS: Final = 256
_MOST_SHOWN_CHARS: Final = 80

_SEGMENT: Final = "[A-Za-z0-9._~:@+=-]+"
_TOKEN: Final = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*")
_MOVES: Final = frozenset({".", ".."})
_LABEL_SIGNS: Final = "".join(map(chr, range(ord(" "), 0x7F)))


def is_token(text: str, *, most_chars: int = MOST_ID_CHARS) -> bool:
    """Whether it may be an id: letters, digits and `._~:@+=-`, in segments between slashes.

    None of the segments is `.` or `..`, which clients and servers take for a way through a path.
    """
    if len(text) > most_chars or _TOKEN.fullmatch(text) is None:
        return False
    return _MOVES.isdisjoint(text.split("/"))


def is_label(text: str) -> bool:
    """Whether it may be a model's name or version: printable ASCII, no space at its ends."""
    return len(text) <= MOST_LABEL_CHARS and text.isascii() and text.isprintable() and text == text.strip(" ")


def as_label(text: str) -> str:
    """Any text as a label: what can't be in one is percent-encoded, what is too long is cut."""
    return quote(text.strip(), safe=_LABEL_SIGNS, errors="replace")[:MOST_LABEL_CHARS].strip(" ")


def shown(text: str, most_chars: int = _MOST_SHOWN_CHARS) -> str:
    """A stranger's text for a line: printable ASCII, the rest escaped as in Python, cut where it is long."""
    cut = text[:most_chars]
    escaped = cut.encode("unicode_escape").decode("ascii")
    return escaped if len(cut) == len(text) else f"{escaped}..."
