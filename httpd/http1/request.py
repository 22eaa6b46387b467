"""The head of a request, read strictly: an invalid or ambiguous one (request smuggling) is refused.

Every request to proxy and worker is read here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from tfleet.contract.names import REQUEST_ID, REQUEST_TIMEOUT_MS, TICKET, WORKER
from tfleet.httpd.http1.fields import (
    MAX_LINE_BYTES,
    Fields,
    UnreadableError,
    check_size,
    keeps_alive,
    read_fields,
    read_length,
)

_READ: Final = frozenset({b"1.0", b"1.1"})
_REQUEST_LINE: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Z-]+) ([!\"$-~]+) HTTP/(\d\.\d)")
_BEGINNING: Final = re.compile(
    rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32} (?:(?i:https?)://[^/? \r\n]{0,255})?([!->@-~]{0,1024})"
)
"""Method and path, without the query."""
_OPTIONS: Final = b"OPTIONS"
ANY_RESOURCE: Final = b"*"
"""The target of a request about the server itself (RFC 9110 section 9.3.7)."""
_AUTHORITY: Final = re.compile(rb"(?i:https?)://[^/?]*")
_PARTS: Final = 3
"""Of a request line: method, target, version."""
# What a name, an address in brackets and a port are made of (RFC 3986 section 3.2.2).
_HOST: Final = re.compile(rb"[A-Za-z0-9._~!$&'()*+,;=%:\[\]-]*")
_REQUEST_ID: Final = REQUEST_ID.lower().encode()
_TIMEOUT_MS: Final = REQUEST_TIMEOUT_MS.lower().encode()
_TICKET: Final = TICKET.lower().encode()
_WORKER: Final = WORKER.lower().encode()
_FRAMING: Final = frozenset({b"connection", b"content-length", b"transfer-encoding"})
_PARSED: Final = frozenset(
    {
        *_FRAMING,
        b"host",
        b"expect",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-proto",
        _REQUEST_ID,
        _TIMEOUT_MS,
        _TICKET,  # the proxy shows its own, if any
        _WORKER,  # and says itself whom a request is for
    }
)


class RequestHead(NamedTuple):
    """The head of a request. `target` is a path and a query, in whatever form it came, or `*` for OPTIONS.

    `keep_alive` is whether another request may follow this one.
    """

    method: bytes
    target: bytes
    http_1_0: bool
    fields: Fields
    chunked: bool
    length_bytes: int
    keep_alive: bool

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition(b"?")[0].decode("ascii")

    @property
    def query(self) -> str:
        """The part of the target behind the question mark."""
        return self.target.partition(b"?")[2].decode("ascii")

    @property
    def host(self) -> bytes:
        """The field Host; in HTTP/1.0 it may be missing, and is empty here."""
        return self.fields.first(b"host") or b""

    @property
    def request_id(self) -> str | None:
        """The request id that the client chose."""
        return _text(self.fields.first(_REQUEST_ID))

    @property
    def timeout_ms(self) -> str | None:
        """How long the client waits for the response, in its own words."""
        return _text(self.fields.first(_TIMEOUT_MS))

    @property
    def ticket(self) -> str | None:
        """The ticket from a proxy, where the client has one."""
        return _text(self.fields.first(_TICKET))

    @property
    def worker(self) -> str | None:
        """The id of the worker that is to answer, where the client names one."""
        return _text(self.fields.first(_WORKER))

    @property
    def accept(self) -> str:
        """The media types that the client accepts."""
        found = [line[7:].strip() for line in self.fields.lines if line[:7].lower() == b"accept:"]
        return b", ".join(found).decode("latin-1")

    @property
    def content_type(self) -> bytes:
        """The media type of the body; empty where the client names none."""
        found = (line[13:].strip() for line in self.fields.lines if line[:13].lower() == b"content-type:")
        return next(found, b"")

    @property
    def origin(self) -> bytes | None:
        """The origin of the web page that sent the request, where a page did."""
        found = [line[7:].strip() for line in self.fields.lines if line[:7].lower() == b"origin:"]
        return found[0] if found else None

    @property
    def expect(self) -> bytes | None:
        """What the client waits for before it sends the body; None in HTTP/1.0 (RFC 9110 section 10.1.1)."""
        return None if self.http_1_0 else self.fields.first(b"expect")

    def headers(self) -> Iterator[tuple[bytes, bytes]]:
        """All fields with their names in lower case, but those about the framing and the connection."""
        for line in self.fields.lines:
            name, _, value = line.partition(b":")
            yield name.lower(), value.strip(b" \t")
        for name, values in self.fields.values.items():
            if name not in _FRAMING:
                for value in values:
                    yield name, value


def read_request_head(head: bytes) -> RequestHead:
    """Read a head up to its last line's end. Raises UnreadableError."""
    check_size(len(head))
    line, _, rest = head.partition(b"\r\n")
    if len(line) > MAX_LINE_BYTES:
        raise UnreadableError(f"a header line is over {MAX_LINE_BYTES} bytes")
    found = _REQUEST_LINE.fullmatch(line)
    if found is None:
        raise UnreadableError(_fault_of(line))
    method, target, version = found.groups()
    if version not in _READ:
        raise UnreadableError(f"unsupported version HTTP/{version.decode()}: use HTTP/1.1")
    http_1_0 = version == b"1.0"
    fields = read_fields(rest, _PARSED)
    chunked, length_bytes = read_length(fields, http_1_0=http_1_0)
    hosts = fields.values.get(b"host", ())
    if len(hosts) > 1 or not (hosts or http_1_0):
        raise UnreadableError("exactly one Host header is required")
    if hosts and not _HOST.fullmatch(hosts[0]):
        raise UnreadableError("invalid Host header")
    return RequestHead(
        method,
        target if target.startswith(b"/") else _path_and_query(method, target),
        http_1_0,
        fields,
        chunked,
        length_bytes or 0,
        keeps_alive(fields, http_1_0=http_1_0),
    )


def path_of(received: bytes) -> str:
    """The path of a head that is malformed or incomplete, as far as it can be read; else `/`."""
    found = _BEGINNING.match(received)
    return (found[1].decode("ascii") if found else "") or "/"


def _path_and_query(method: bytes, target: bytes) -> bytes:
    """Of a whole URL, whose authority says nothing (RFC 9112 section 3.2.2), or `*`."""
    authority = _AUTHORITY.match(target)
    rest = target if authority is None else target[authority.end() :]
    # OPTIONS for a URL without a path means the server, too (RFC 9112 section 3.2.4).
    if method == _OPTIONS and rest == (ANY_RESOURCE if authority is None else b""):
        return ANY_RESOURCE
    if authority is None:
        raise UnreadableError("invalid request target")
    return rest if rest.startswith(b"/") else b"/" + rest


def _fault_of(line: bytes) -> str:
    """What is wrong with a request line."""
    parts = line.split(b" ")
    if len(parts) == _PARTS and b"#" in parts[1]:
        return "the request target has a fragment (#): leave it out"
    return "invalid request line"


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")
