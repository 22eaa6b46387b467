"""Splits the bytes of one connection into requests: heads, and bodies without their framing."""

from __future__ import annotations

import re
import sys
from typing import Final

from tfleet.httpd.http1.body import MAX_CHUNKS_AT_ONCE, Body, Chunks, Length
from tfleet.httpd.http1.fields import UnreadableError, check_lines
from tfleet.httpd.http1.request import RequestHead, read_request_head

_MAX_KEPT_BYTES: Final = 1024
_MAX_EMPTY_LINES: Final = 2
_END: Final = b"\r\n\r\n"
_EMPTY_LINE: Final = b"\r\n"

# https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt: version 1 is text, version 2 is binary. Of the
# signature of version 2, `next_head` has removed the empty lines at its beginning.
_PROXY_PROTOCOL: Final = re.compile(rb"PROXY (?:TCP4|TCP6|UNKNOWN)[ \r]|(?:\r\n){0,2}\0\r\nQUIT\n")
_PROXY_PROTOCOL_PROBLEM: Final = (
    "it begins with the PROXY protocol, which is not read here: turn it off at the load balancer in front "
    "(send-proxy, proxy_protocol)"
)


def proxy_protocol_problem(beginning: bytes) -> str | None:
    """Recognises the PROXY protocol, to name the mistake in the 400; None for anything else."""
    return _PROXY_PROTOCOL_PROBLEM if _PROXY_PROTOCOL.match(beginning) else None


class RequestStream:
    """The bytes that were received and not read yet, and the body that is being read. It decides nothing.

    A head that repeats the last one byte for byte, as of a client that polls, is not parsed again.
    """

    __slots__ = ("_kept", "_kept_head", "_max_body_bytes", "body", "scanned_bytes", "unread")

    def __init__(self, max_body_bytes: int = sys.maxsize) -> None:
        self.unread = b""
        """Received bytes that belong to no head and no body that was returned yet."""
        self.scanned_bytes = 0
        """How many of them were searched for the end of a head, without finding it."""
        self.body: Body = Length(0)
        """The body that is being read. Once it has ended, a head follows."""
        self._max_body_bytes = max_body_bytes
        self._kept = b""
        self._kept_head: RequestHead | None = None

    def __repr__(self) -> str:
        where = "between requests" if self.body.ended else "in a body"
        return f"<RequestStream {where}, {len(self.unread)} bytes unread>"

    def add(self, data: bytes) -> None:
        """Add received bytes."""
        self.unread = self.unread + data if self.unread else data

    def next_head(self) -> RequestHead | None:
        """Return the next head, or None if it is incomplete. Call it only when the body before has ended.

        Raises UnreadableError, for an incomplete head too if it is already invalid.
        """
        unread = self.unread
        if unread.startswith(_EMPTY_LINE):
            for _ in range(_MAX_EMPTY_LINES):
                unread = unread.removeprefix(_EMPTY_LINE)
            self.unread = unread
            if unread.startswith(_EMPTY_LINE):
                raise UnreadableError("empty lines before the request line")
        # The end may begin in bytes that were searched before.
        end = unread.find(_END, max(0, self.scanned_bytes - len(_END)))
        if end < 0:
            check_lines(unread, self.scanned_bytes)
            self.scanned_bytes = len(unread)
            return None
        head = self._read(unread[: end + 2])
        self.unread = unread[end + 4 :]
        self.scanned_bytes = 0
        if head.chunked:
            self.body = Chunks(MAX_CHUNKS_AT_ONCE, self._max_body_bytes)
        else:
            self.body = Length(head.length_bytes)
        return head

    def next_piece(self) -> bytes:
        """Return what was received of the body. Call it only before the body ends.

        Raises UnreadableError, and BodyTooLargeError where a chunk announces more than the maximum.

        Of very many chunks it leaves some in `unread`, so that the caller can serve others in between.
        """
        unread, self.unread = self.unread, b""
        piece, taken = self.body.feed(unread)
        self.unread = unread[taken:]
        return piece

    def give_up(self) -> None:
        """Discard everything: the framing of the body is broken, or the connection closes."""
        self.unread, self.scanned_bytes, self.body = b"", 0, Length(0)

    def _read(self, head: bytes) -> RequestHead:
        if self._kept_head is not None and head == self._kept:
            return self._kept_head
        read = read_request_head(head)
        if len(head) <= _MAX_KEPT_BYTES:  # ten thousand idle connections must not hold a large one each
            self._kept, self._kept_head = head, read
        return read
