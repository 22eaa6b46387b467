"""An answer's head, read by the letter of RFC 9112.

aiohttp reads answers leniently: it takes a lone line feed for a line's end, joins folded lines, and takes
what it can't frame for a body that ends with its connection. What a worker's answer says must not depend on
who reads it, be it the proxy or the client behind it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from tfleet.discovery.contract import MOST_HEAD_BYTES

TEXT: Final = rb"[\t -~\x80-\xff]*"
HEADER_LINE: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:" + TEXT + rb"\r\n"
"""A token, RFC 9110 section 5.6.2, and its value."""

_TOO_LARGE: Final = f"its head is over {MOST_HEAD_BYTES} bytes"
_SWITCHING_PROTOCOLS: Final = 101
_FINAL: Final = 200
_NO_BODY: Final = frozenset({204, 304})
_BEGINNING: Final = b"HTTP/1."
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] [1-5]\d\d(?: " + TEXT + rb")?\r\n")
_HEAD: Final = re.compile(_STATUS_LINE.pattern + rb"(?:" + HEADER_LINE + rb")*")
_FOLD: Final = re.compile(rb"\r\n[\t ]")
_NO_TEXT: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)|(?<!\r)\n")
_LONE_LINE_FEED: Final = re.compile(rb"(?<!\r)\n")
_FRAMING: Final = re.compile(
    rb"\r\n(transfer-encoding|content-length):[\t ]*([^\r]*?)[\t ]*(?=\r\n)", re.IGNORECASE
)
_LENGTH: Final = re.compile(rb"\d{1,18}")


class UnreadableError(Exception):
    """What came is no answer that can be read in one way only. The message says why, in a few words."""


@dataclass(frozen=True, slots=True)
class AnswerHead:
    """What says where the answer ends. Without chunks or a length that is with its connection."""

    status: int
    chunked: bool = False
    length_bytes: int | None = None

    @property
    def final(self) -> bool:
        """Whether it is the answer, and not one of those that may come before it."""
        return self.status >= _FINAL


def read_head(head: bytes) -> AnswerHead:
    """Read a head up to its last line's end. Raises UnreadableError."""
    if len(head) > MOST_HEAD_BYTES:
        raise UnreadableError(_TOO_LARGE)
    if not _HEAD.fullmatch(head):
        raise UnreadableError(_syntax_fault(head))
    status = int(head[9:12])
    framing = _FRAMING.findall(head)
    codings = [value.lower() for name, value in framing if name[:1] in b"Tt"]
    lengths = [value for name, value in framing if name[:1] in b"Cc"]
    if fault := _framing_fault(head, status, codings, lengths):
        raise UnreadableError(fault)
    if status in _NO_BODY:
        return AnswerHead(status, length_bytes=0)
    return AnswerHead(status, bool(codings), int(lengths[0]) if lengths else None)


def check_beginning(beginning: bytearray, seen: int) -> None:
    """Raises UnreadableError where the rest of a head need not be awaited.

    `seen` bytes of it were looked at before.
    """
    if not beginning.startswith(_BEGINNING[: len(beginning)]):
        raise UnreadableError("it is no HTTP/1")
    if len(beginning) > MOST_HEAD_BYTES:
        raise UnreadableError(_TOO_LARGE)
    if _LONE_LINE_FEED.search(beginning, seen):
        raise UnreadableError("a line of its head ends without CR")


def _syntax_fault(head: bytes) -> str:
    if not _STATUS_LINE.match(head):
        return "its first line is no status line of HTTP/1"
    if _NO_TEXT.search(head):
        return "there is a control character in its head"
    if _FOLD.search(head):
        return "there is a folded line in its head"
    return "there is a line in its head that is no header"


def _framing_fault(head: bytes, status: int, codings: list[bytes], lengths: list[bytes]) -> str | None:
    fault = None
    if status == _SWITCHING_PROTOCOLS:
        fault = "it switches protocols"
    elif codings and lengths:
        fault = "it has a Transfer-Encoding and a Content-Length"
    elif codings and (head.startswith(b"HTTP/1.0") or status in _NO_BODY):
        fault = "it has a Transfer-Encoding where there can be none"
    elif codings and codings != [b"chunked"]:
        fault = "its Transfer-Encoding is not chunked"
    elif len(lengths) > 1:
        fault = "it has more than one Content-Length"
    elif lengths and not _LENGTH.fullmatch(lengths[0]):
        fault = "its Content-Length is no number"
    return fault
