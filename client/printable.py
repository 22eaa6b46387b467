"""Text of others' (file names, labels, errors) made fit for a terminal and for one line."""

from __future__ import annotations

from typing import Final

_TSV: Final = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def printable(text: str) -> str:
    """The text with what is no character to look at (escape sequences, line ends) written as `\\x1b`."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def tsv_field(text: str) -> str:
    r"""The text as a tab-separated field: tab, line ends and backslash become `\t`, `\n`, `\r`, `\\`."""
    return text.translate(_TSV)
