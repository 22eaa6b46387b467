"""HTML that is put together of elements, where text from outside is always escaped. Pure."""

from __future__ import annotations

import html
from typing import Final

from tfleet.runtime.printable import printable

_EMPTY: Final = frozenset({"img", "meta"})
_JOINER: Final = "\u200d"  # of emoji: not printable by itself


class Markup(str):
    """HTML. Any other string is text, and is escaped where it becomes a part of HTML."""

    __slots__ = ()


def escaped(text: str) -> Markup:
    """Text as HTML has it: what moves or hides other text, or is no character, is written as `\\u202e`."""
    if isinstance(text, Markup):
        return text
    return Markup(html.escape(printable(text, keep=_JOINER)))


def element(tag: str, *children: str, **attributes: str) -> Markup:
    """An element. Attributes are named as in HTML; `class_` is `class`, and one that is empty is left out."""
    named = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{html.escape(printable(value))}"'
        for name, value in attributes.items()
        if value
    )
    if tag in _EMPTY:
        return Markup(f"<{tag}{named}>")
    return Markup(f"<{tag}{named}>{joined(*children)}</{tag}>")


def joined(*children: str) -> Markup:
    """Pieces of HTML and text, one after the other."""
    return Markup("".join(escaped(child) for child in children))


def name(text: str) -> Markup:
    """A name from outside. It does not change the direction of what stands beside it, and can be broken."""
    return element("bdi", text)
