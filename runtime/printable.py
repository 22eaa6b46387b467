"""Escapes text from outside (ids, paths, labels, errors) for a terminal and for one line."""

from __future__ import annotations


def printable(text: str, *, keep: str = "") -> str:
    r"""Escape characters that are not printable, as in `\x1b`.

    These move a terminal's cursor, end a line or change the writing direction. Characters in `keep` stay
    as they are.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
