"""Format text for output: on a terminal, in tab-separated values, with a number."""

from __future__ import annotations

from typing import Final

from tfleet.runtime.printable import printable

__all__ = ["printable", "tsv_field"]

_TSV: Final = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def tsv_field(text: str) -> str:
    r"""The text as a tab-separated field: tab, line ends and backslash become `\t`, `\n`, `\r`, `\\`."""
    return text.translate(_TSV)


def count(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun: `1 file`, `2 files`; with another `plural`: `2 proxies`."""
    return f"{number} {noun}" if number == 1 else f"{number} {plural or noun + 's'}"
