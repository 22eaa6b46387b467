"""Text of others (ids, paths, labels, errors) made fit for a terminal and for one line."""

from __future__ import annotations


def printable(text: str, *, keep: str = "") -> str:
    r"""The text with what is no character to look at written as an escape, as in `\x1b`.

    That is what moves a terminal's cursor, ends a line or turns the writing direction. `keep` are characters
    that stay as they are.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
