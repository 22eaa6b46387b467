"""The fields of a message's head, read by the letter of RFC 9110 and RFC 9112.

What a head says must not depend on who reads it, the proxy or who is behind it: so a lone line feed, a folded
line, or a space before a colon is no slip that is mended here, but the end of the message.
"""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from typing import Final, NamedTuple

from tfleet.contract.names import MAX_HEAD_BYTES

TEXT: Final = rb"[\t -~\x80-\xff]*"
FIELD_LINE: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:" + TEXT + rb"\r\n"
"""A token, RFC 9110 section 5.6.2, and its value."""

HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""What concerns one connection only: RFC 9110 section 7.6.1, and `Proxy-Connection`, still sent by some."""

_ORDINARY: Final = frozenset({b"close", b"keep-alive"})
MOST_LINE_BYTES: Final = 8 * 1024
_MOST_FIELDS: Final = 128
_FIELDS: Final = re.compile(rb"(?:" + FIELD_LINE + rb")*")
_FOLD: Final = re.compile(rb"(?:^|\r\n)[\t ]")
_NO_TEXT: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)|(?<!\r)\n")
_LONE_LINE_FEED: Final = re.compile(rb"(?<!\r)\n")
_LENGTH: Final = re.compile(rb"\d{1,18}")


class UnreadableError(Exception):
    """What came can't be read in one way only. The message says why, in a few words."""


class Fields(NamedTuple):
    """`lines` are those that go on unchanged, without their ends; `said` has the values of those asked for.

    What concerns one connection only is in neither, but where it was asked for.
    """

    lines: list[bytes]
    said: dict[bytes, list[bytes]]

    def first(self, name: bytes) -> bytes | None:
        """The first value under that name, of those asked for."""
        values = self.said.get(name)
        return values[0] if values else None


def read_fields(block: bytes, asked_for: Set[bytes]) -> Fields:
    """Read lines that each have their end. Names are in lower case. Raises UnreadableError."""
    if not _FIELDS.fullmatch(block):
        raise UnreadableError(_fault(block))
    found = block.split(b"\r\n")
    del found[-1]
    if len(found) > _MOST_FIELDS:
        raise UnreadableError(f"there are over {_MOST_FIELDS} fields in its head")
    if len(block) > MOST_LINE_BYTES and max(map(len, found)) > MOST_LINE_BYTES:
        raise UnreadableError(f"a line of its head is over {MOST_LINE_BYTES} bytes")
    if b" \r\n" in block or b"\t\r\n" in block:
        found = [line.rstrip(b" \t") for line in found]
    lines: list[bytes] = []
    said: dict[bytes, list[bytes]] = {}
    for line in found:
        name = line[: line.index(b":")].lower()
        if name in asked_for:
            said.setdefault(name, []).append(line[len(name) + 1 :].strip(b" \t"))
        elif name not in HOP_BY_HOP:
            lines.append(line)
    if b"connection" in said and not _ORDINARY.issuperset(listed := _options(said[b"connection"])):
        lines = [line for line in lines if line[: line.index(b":")].lower() not in listed]
    return Fields(lines, said)


def keeps_alive(fields: Fields, *, http_1_0: bool) -> bool:
    """Whether the connection goes on after this message, by `Connection`, which was asked for."""
    said = fields.said.get(b"connection")
    if said is None:
        return not http_1_0
    listed = _options(said)
    return b"keep-alive" in listed if http_1_0 else b"close" not in listed


def read_length(fields: Fields, *, http_1_0: bool) -> tuple[bool, int | None]:
    """Whether the body comes in chunks, and else its length in bytes, where one is said.

    By `Transfer-Encoding` and `Content-Length`, which were asked for (RFC 9112 section 6.3). Raises
    UnreadableError.
    """
    codings, lengths = fields.said.get(b"transfer-encoding"), fields.said.get(b"content-length")
    if codings is None and lengths is not None and len(lengths) == 1 and _LENGTH.fullmatch(lengths[0]):
        return False, int(lengths[0])
    fault = None
    if codings and lengths:
        fault = "it has a Transfer-Encoding and a Content-Length"
    elif codings and http_1_0:
        fault = "it has a Transfer-Encoding where there can be none"
    elif codings and [coding.lower() for coding in codings] != [b"chunked"]:
        fault = "its Transfer-Encoding is not chunked"
    elif lengths:
        many = len(lengths) > 1
        fault = "it has more than one Content-Length" if many else "its Content-Length is no number"
    if fault is not None:
        raise UnreadableError(fault)
    return bool(codings), None


def check_size(head_bytes: int) -> None:
    """Raises UnreadableError where a head, or what has come of it, is too large."""
    if head_bytes > MAX_HEAD_BYTES:
        raise UnreadableError(f"its head is over {MAX_HEAD_BYTES} bytes")


def check_lines(beginning: bytes, seen: int) -> None:
    """Raises UnreadableError where the rest of a head can't make it right. `seen` bytes of it were."""
    check_size(len(beginning))
    if _LONE_LINE_FEED.search(beginning, seen):
        raise UnreadableError("a line of its head ends without CR")


def _options(connection: Sequence[bytes]) -> frozenset[bytes]:
    """`close`, `keep-alive`, and names of fields that are for this connection alone."""
    return frozenset([option.strip(b" \t").lower() for option in b",".join(connection).split(b",")])


def _fault(lines: bytes) -> str:
    if _NO_TEXT.search(lines):
        return "there is a control character in its head"
    if _FOLD.search(lines):
        return "there is a folded line in its head"
    return "there is a line in its head that is no header"
