"""Whole numbers in requests."""

from __future__ import annotations

from typing import Final

_MOST_DIGITS: Final = 15


def whole_number(text: str) -> int | None:
    """The number, 0 or more, that the text consists of; None for anything else.

    More than 15 digits are no number here: nobody means them, and Python itself refuses to read thousands.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        return None
    return int(text)
