"""The requests of one connection, read from its bytes as they come: heads, and bodies without framing."""

from __future__ import annotations

from typing import Final

from tfleet.httpd.http1.body import Body, Length, body_of
from tfleet.httpd.http1.fields import UnreadableError, check_lines
from tfleet.httpd.http1.request import RequestHead, read_request_head

_MOST_KEPT_BYTES: Final = 1024
_MOST_EMPTY_LINES: Final = 2
_END: Final = b"\r\n\r\n"
_EMPTY_LINE: Final = b"\r\n"


class RequestStream:
    """What has come and is not read yet, and the body that is being read. It decides nothing.

    A client that asks for the same over and over, as for a worker's address, has its head read once.
    """

    __slots__ = ("_kept", "_kept_head", "body", "scanned_bytes", "unread")

    def __init__(self) -> None:
        self.unread = b""
        """What has come and is in no head and no body that was given."""
        self.scanned_bytes = 0
        """How much of it was looked at for a head, which was not whole."""
        self.body: Body = Length(0)
        """What is being read; once it has ended, what comes next is a head."""
        self._kept = b""
        self._kept_head: RequestHead | None = None

    def __repr__(self) -> str:
        where = "between requests" if self.body.ended else "in a body"
        return f"<RequestStream {where}, {len(self.unread)} bytes unread>"

    def add(self, data: bytes) -> None:
        """More has come."""
        self.unread = self.unread + data if self.unread else data

    def next_head(self) -> RequestHead | None:
        """The next head, when all of it has come. Only where the body before it has ended.

        Raises UnreadableError, also where the rest of a head could not make it right.
        """
        unread = self.unread
        if unread.startswith(_EMPTY_LINE):
            for _ in range(_MOST_EMPTY_LINES):
                unread = unread.removeprefix(_EMPTY_LINE)
            self.unread = unread
            if unread.startswith(_EMPTY_LINE):
                raise UnreadableError("it begins with empty lines")
        # The end may lie across what was looked at before.
        end = unread.find(_END, max(0, self.scanned_bytes - len(_END)))
        if end < 0:
            check_lines(unread, self.scanned_bytes)
            self.scanned_bytes = len(unread)
            return None
        head = self._read(unread[: end + 2])
        self.unread = unread[end + 4 :]
        self.scanned_bytes = 0
        self.body = body_of(head.chunked, head.length_bytes)
        return head

    def next_piece(self) -> bytes:
        """What has come of the body. Only where it has not ended. Raises UnreadableError."""
        unread, self.unread = self.unread, b""
        piece, taken = self.body.feed(unread)
        self.unread = unread[taken:]
        return piece

    def give_up(self) -> None:
        """What comes now can't be told from a body, or nobody wants it."""
        self.unread, self.scanned_bytes, self.body = b"", 0, Length(0)

    def _read(self, head: bytes) -> RequestHead:
        if self._kept_head is not None and head == self._kept:
            return self._kept_head
        read = read_request_head(head)
        if len(head) <= _MOST_KEPT_BYTES:  # ten thousand idle connections must not hold a large one each
            self._kept, self._kept_head = head, read
        return read
