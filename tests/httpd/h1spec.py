"""The 33 requests of h1spec, a conformance test for HTTP/1.1 servers, with the statuses that are right.

Written anew after https://github.com/uNetworking/h1spec.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

WAITS: Final = range(0)
"""The request is not complete: a server says nothing yet."""

_FINE: Final = range(200, 300)
_REFUSED: Final = range(400, 500)
_REFUSED_OR_NOT_SPOKEN: Final = range(400, 600)
_GET: Final = b"GET / HTTP/1.1\r\nHost: example.com\r\n"

H1SPEC: Final[Mapping[str, tuple[bytes, range]]] = {
    "a part of a method": (b"G", WAITS),
    "a method": (b"GET ", WAITS),
    "a part of a target": (b"GET /hello", WAITS),
    "a target": (b"GET /hello ", WAITS),
    "a part of a version": (b"GET /hello HTTP", WAITS),
    "a request line without its end": (b"GET /hello HTTP/1.1", WAITS),
    "half the end of a request line": (b"GET /hello HTTP/1.1\r", WAITS),
    "a request line": (b"GET /hello HTTP/1.1\r\n", WAITS),
    "a part of a name": (b"GET /hello HTTP/1.1\r\nHos", WAITS),
    "a name": (b"GET /hello HTTP/1.1\r\nHost:", WAITS),
    "a name and a space": (b"GET /hello HTTP/1.1\r\nHost: ", WAITS),
    "a field without its end": (b"GET /hello HTTP/1.1\r\nHost: localhost", WAITS),
    "half the end of a field": (b"GET /hello HTTP/1.1\r\nHost: localhost\r", WAITS),
    "a field": (b"GET /hello HTTP/1.1\r\nHost: localhost\r\n", WAITS),
    "half the end of a head": (b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r", WAITS),
    "no version": (b"GET / \r\n\r\n", _REFUSED_OR_NOT_SPOKEN),
    "an expectation": (_GET + b"Expect: 100-continue\r\n\r\n", range(100, 300)),
    "a request": (_GET + b"\r\n", _FINE),
    "odd case, a tab and an empty field": (
        b"GET / HTTP/1.1\r\nhoSt:\texample.com\r\nempty:\r\n\r\n",
        _FINE,
    ),
    "brackets in a name": (_GET + b"X-Invalid[]: test\r\n\r\n", _REFUSED),
    "no host": (b"GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\n", _REFUSED),
    "two hosts": (_GET + b"Host: example.org\r\n\r\n", _REFUSED),
    "a negative length that overflows": (
        _GET + b"Content-Length: -123456789123456789123456789\r\n\r\n",
        _REFUSED,
    ),
    "a negative length": (_GET + b"Content-Length: -1234\r\n\r\n", _REFUSED),
    "a length of letters": (_GET + b"Content-Length: abc\r\n\r\n", _REFUSED),
    "an empty value": (_GET + b"X-Empty-Header: \r\n\r\n", _FINE),
    "a control character in a value": (_GET + b"X-Bad-Control-Char: test\x07\r\n\r\n", _REFUSED),
    "HTTP/9.9": (b"GET / HTTP/9.9\r\nHost: example.com\r\n\r\n", _REFUSED_OR_NOT_SPOKEN),
    "something before the method": (
        b"Extra lineGET / HTTP/1.1\r\nHost: example.com\r\n\r\n",
        _REFUSED_OR_NOT_SPOKEN,
    ),
    "a lone CR": (_GET + b"\rSome-Header: Test\r\n\r\n", _REFUSED),
    "a body": (
        b"POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 5\r\n\r\nhello",
        _FINE,
    ),
    "chunks": (
        b"POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"c\r\nHellO world1\r\n0\r\n\r\n",
        _FINE,
    ),
    "chunks and a length, in varying case": (
        b"POST / HTTP/1.1\r\nHost: example.com\r\ncontent-LengtH: 5\r\nTransFer-Encoding: chunked\r\n\r\n"
        b"c\r\nHellO world1\r\n0\r\n\r\n",
        _REFUSED,
    ),
}
