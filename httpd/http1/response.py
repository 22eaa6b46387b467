"""The head of a response, read strictly: an invalid or ambiguous one is refused."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from tfleet.contract.names import QUEUE_LENGTH, REQUEST_ID, RETRIES, WORKER
from tfleet.httpd.http1.fields import (
    TEXT,
    Fields,
    UnreadableError,
    check_lines,
    check_size,
    keeps_alive,
    read_fields,
    read_length,
)

_SWITCHING_PROTOCOLS: Final = 101
_FINAL: Final = 200
_NO_BODY: Final = frozenset({204, 304})
_BEGINNING: Final = b"HTTP/1."
_WORKER: Final = WORKER.lower().encode()
_REQUEST_ID: Final = REQUEST_ID.lower().encode()
_QUEUE_LENGTH: Final = QUEUE_LENGTH.lower().encode()
# Request id and retries are the proxy's to say.
_PARSED: Final = frozenset(
    {
        b"connection",
        b"content-length",
        b"transfer-encoding",
        _WORKER,
        _QUEUE_LENGTH,
        _REQUEST_ID,
        RETRIES.lower().encode(),
    }
)
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-5]\d\d)(?: (" + TEXT + rb"))?")


class ResponseHead(NamedTuple):
    """The head of a response. Without chunks or a length its body ends with the connection.

    `keep_alive` is whether the connection may be used again.
    """

    status: int
    reason: bytes
    fields: Fields
    chunked: bool
    length_bytes: int | None
    keep_alive: bool

    @property
    def worker(self) -> bytes | None:
        """The id of the worker that answers."""
        return self.fields.first(_WORKER)

    @property
    def request_id(self) -> bytes | None:
        """The id of the request."""
        return self.fields.first(_REQUEST_ID)

    @property
    def queue_length(self) -> bytes | None:
        """How many requests wait at the worker."""
        return self.fields.first(_QUEUE_LENGTH)

    @property
    def final(self) -> bool:
        """Whether it is the final response, not an interim one (1xx)."""
        return self.status >= _FINAL


def read_response_head(head: bytes) -> ResponseHead:
    """Read a head up to its last line's end. Raises UnreadableError."""
    check_size(len(head))
    line, _, rest = head.partition(b"\r\n")
    found = _STATUS_LINE.fullmatch(line)
    if found is None:
        raise UnreadableError("invalid status line")
    status, http_1_0 = int(found[2]), found[1] == b"0"
    fields = read_fields(rest, _PARSED)
    if status == _SWITCHING_PROTOCOLS:
        raise UnreadableError("it switches protocols (101)")
    chunked, length_bytes = read_length(fields, http_1_0=http_1_0)
    if chunked and status in _NO_BODY:
        raise UnreadableError("Transfer-Encoding is not allowed here")
    return ResponseHead(
        status,
        found[3] or b"",
        fields,
        chunked,
        0 if status in _NO_BODY else length_bytes,
        keeps_alive(fields, http_1_0=http_1_0),
    )


def check_response(beginning: bytes, seen: int) -> None:
    """Raises UnreadableError if an incomplete head is already invalid. `seen` bytes were checked before."""
    if not beginning.startswith(_BEGINNING[: len(beginning)]):
        raise UnreadableError("not an HTTP/1 response")
    check_lines(beginning, seen)
