"""Whether a request's head can be read in one way only.

The parser refuses most of what smuggles one request inside another: two lengths, a length beside chunks,
folded lines, names and line ends that are none (RFC 9112 sections 2.2, 5, 6.3 and 11.2). Here is what it lets
pass and what a worker behind the proxy might understand otherwise.
"""

from __future__ import annotations

import re
from typing import Final

from aiohttp import hdrs, web

from tfleet.discovery.contract import MOST_HEAD_BYTES

_READ: Final = ((1, 0), (1, 1))
_HTTP_1_0: Final = (1, 0)
# What a name, an address in brackets and a port are made of (RFC 3986 section 3.2.2).
_HOST: Final = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=%:\[\]-]*")


def head_fault(request: web.BaseRequest) -> str | None:
    """Why the request is refused, in a few words; None where nothing is wrong with its head."""
    version, headers = tuple(request.version), request.raw_headers
    if version not in _READ:
        return f"HTTP/{version[0]}.{version[1]} is not spoken here: use HTTP/1.1"
    if sum(len(name) + len(value) + 4 for name, value in headers) > MOST_HEAD_BYTES:
        return f"the head is over {MOST_HEAD_BYTES} bytes"
    coding = request.headers.getall(hdrs.TRANSFER_ENCODING, ())
    if coding and version == _HTTP_1_0:
        return "Transfer-Encoding is not for HTTP/1.0"
    if coding and [value.strip().lower() for value in coding] != ["chunked"]:
        return "the only Transfer-Encoding that is read is chunked"
    if not _HOST.fullmatch(request.headers.get(hdrs.HOST, "")):
        return "Host is no host"
    return None
