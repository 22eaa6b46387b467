"""The fields of a message's head, read strictly by RFC 9110 and RFC 9112.

Two programs must never read the same head in two ways (request smuggling). So nothing is repaired here: a
lone line feed, a folded line or a space before a colon makes the whole message invalid.
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
"""Fields for one connection only: RFC 9110 section 7.6.1, and `Proxy-Connection`, which some still send."""

_ORDINARY: Final = frozenset({b"close", b"keep-alive"})
MAX_LINE_BYTES: Final = 8 * 1024
_MAX_FIELDS: Final = 128
_FIELDS: Final = re.compile(rb"(?:" + FIELD_LINE + rb")*")
_FOLD: Final = re.compile(rb"(?:^|\r\n)[\t ]")
_NO_TEXT: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)|(?<!\r)\n")
_LONE_LINE_FEED: Final = re.compile(rb"(?<!\r)\n")
_LENGTH: Final = re.compile(rb"\d{1,18}")


class UnreadableError(Exception):
    """The message is invalid or ambiguous. The text says why, in a few words."""


class Fields(NamedTuple):
    """`values` has the values of the fields that the caller parses, `lines` all other fields as they came.

    Lines are without their ends. Fields for one connection only are in neither, unless they are parsed.
    """

    lines: list[bytes]
    values: dict[bytes, list[bytes]]

    def first(self, name: bytes) -> bytes | None:
        """The first value of a field that the caller parses."""
        values = self.values.get(name)
        return values[0] if values else None


def read_fields(block: bytes, parsed: Set[bytes]) -> Fields:
    """Read lines that each have their end. Names in `parsed` are in lower case. Raises UnreadableError."""
    if not _FIELDS.fullmatch(block):
        raise UnreadableError(_fault(block))
    found = block.split(b"\r\n")
    del found[-1]
    if len(found) > _MAX_FIELDS:
        raise UnreadableError(f"more than {_MAX_FIELDS} header lines")
    if len(block) > MAX_LINE_BYTES and max(map(len, found)) > MAX_LINE_BYTES:
        raise UnreadableError(f"a header line is over {MAX_LINE_BYTES} bytes")
    if b" \r\n" in block or b"\t\r\n" in block:
        found = [line.rstrip(b" \t") for line in found]
    lines: list[bytes] = []
    values: dict[bytes, list[bytes]] = {}
    for line in found:
        name = line[: line.index(b":")].lower()
        if name in parsed:
            values.setdefault(name, []).append(line[len(name) + 1 :].strip(b" \t"))
        elif name not in HOP_BY_HOP:
            lines.append(line)
    if b"connection" in values and not _ORDINARY.issuperset(listed := _options(values[b"connection"])):
        lines = [line for line in lines if line[: line.index(b":")].lower() not in listed]
    return Fields(lines, values)


def keeps_alive(fields: Fields, *, http_1_0: bool) -> bool:
    """Whether the connection goes on after this message, by the parsed field `Connection`."""
    options = fields.values.get(b"connection")
    if options is None:
        return not http_1_0
    listed = _options(options)
    return b"keep-alive" in listed if http_1_0 else b"close" not in listed


def read_length(fields: Fields, *, http_1_0: bool) -> tuple[bool, int | None]:
    """Whether the body comes in chunks, else its length in bytes where the head has one.

    By the parsed `Transfer-Encoding` and `Content-Length` (RFC 9112 section 6.3). Raises UnreadableError.
    """
    codings, lengths = fields.values.get(b"transfer-encoding"), fields.values.get(b"content-length")
    if codings is None and lengths is not None and len(lengths) == 1 and _LENGTH.fullmatch(lengths[0]):
        return False, int(lengths[0])
    fault = None
    if codings and lengths:
        fault = "both Transfer-Encoding and Content-Length"
    elif codings and http_1_0:
        fault = "Transfer-Encoding is not allowed here"
    elif codings and [coding.lower() for coding in codings] != [b"chunked"]:
        fault = "Transfer-Encoding is not chunked"
    elif lengths:
        many = len(lengths) > 1
        fault = "more than one Content-Length" if many else "invalid Content-Length"
    if fault is not None:
        raise UnreadableError(fault)
    return bool(codings), None


def check_size(head_bytes: int) -> None:
    """Raises UnreadableError where a head, or the part of it that has come, is too large."""
    if head_bytes > MAX_HEAD_BYTES:
        raise UnreadableError(f"the head is over {MAX_HEAD_BYTES} bytes")


def check_lines(beginning: bytes, seen: int) -> None:
    """Raises UnreadableError if an incomplete head is already invalid. `seen` bytes were checked before."""
    check_size(len(beginning))
    if _LONE_LINE_FEED.search(beginning, seen):
        raise UnreadableError("a header line ends without CR")


def _options(connection: Sequence[bytes]) -> frozenset[bytes]:
    """`close`, `keep-alive`, and names of fields for this connection only."""
    return frozenset([option.strip(b" \t").lower() for option in b",".join(connection).split(b",")])


def _fault(lines: bytes) -> str:
    if _NO_TEXT.search(lines):
        return "a control character in the head"
    if _FOLD.search(lines):
        return "a folded header line"
    return "an invalid header line"
