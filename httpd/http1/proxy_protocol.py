"""The PROXY protocol, with which load balancers say in front of a request from whom it is.

It is not read here, only recognised: who turned it on by mistake is told so instead of that this is no HTTP.
https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt
"""

from __future__ import annotations

import re
from typing import Final

# Of version 2 what is left of its beginning when the empty lines before a request are passed over.
_BEGINNING: Final = re.compile(rb"PROXY (?:TCP4|TCP6|UNKNOWN)[ \r]|(?:\r\n){0,2}\0\r\nQUIT\n")

_NAMED: Final = (
    "it begins with the PROXY protocol, which is not read here: turn it off at the load balancer in front "
    "(send-proxy, proxy_protocol)"
)


def protocol_fault(beginning: bytes) -> str | None:
    """What to say to a connection that begins so, if it speaks it: version 1 (text) or 2 (binary)."""
    return _NAMED if _BEGINNING.match(beginning) else None
