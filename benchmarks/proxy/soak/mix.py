"""The kinds of requests that are sent, and how many of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_SMALL: Final = bytes(range(256)) * 4
_LARGE: Final = _SMALL * 64

BREAKS_OFF: Final = 0
"""Instead of a status: the answer ends before its end."""
NOT_AWAITED: Final = -1
"""Instead of a status: the client leaves without its answer."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A request, and what has to come of it.

    `share` is of 10,000 requests. `headers` are its lines beside those that all have. `closes` is whether
    nothing can be sent after it on its connection.
    """

    name: str
    share: int
    line: str = "POST / HTTP/1.1"
    headers: tuple[str, ...] = ()
    body: bytes = b""
    status: int = 200
    closes: bool = False

    def on_the_wire(self, request_id: str) -> bytes:
        """Its bytes."""
        lines = (self.line, "Host: soak", f"X-Request-Id: {request_id}", *self.headers, "", "")
        return "\r\n".join(lines).encode() + self.body


def _image(name: str, share: int, *headers: str, body: bytes = _SMALL, status: int = 200) -> Kind:
    lines = ("Content-Type: image/png", f"Content-Length: {len(body)}", *headers)
    return Kind(name, share, headers=lines, body=body, status=status, closes=status != 200)


KINDS: Final = (
    _image("of 1 kB", 9000),
    _image("of 64 kB", 300, body=_LARGE),
    Kind(
        "in chunks",
        100,
        headers=("Content-Type: image/png", "Transfer-Encoding: chunked"),
        body=b"%x\r\n%b\r\n0\r\n\r\n" % (len(_SMALL), _SMALL),
    ),
    Kind("look-up", 200, "GET /worker HTTP/1.1"),
    Kind("table of workers", 10, "GET /workers HTTP/1.1"),
    Kind("unknown path", 100, "GET /nothing HTTP/1.1", status=404),
    Kind("wrong method", 50, "DELETE /workers HTTP/1.1", status=405),
    Kind("malformed", 50, "I speak no HTTP", status=400, closes=True),
    Kind("too large", 30, headers=("Content-Length: 100000000",), status=413, closes=True),
    _image("busy: sent on", 40, "X-Soak: busy"),
    _image("leaving: sent on", 10, "X-Soak: leaving"),
    _image("reset: sent on", 4, "X-Soak: reset"),
    _image("worker closes", 50, "X-Soak: closes"),
    _image("worker breaks off", 6, "X-Soak: half", status=BREAKS_OFF),
    Kind(
        "client leaves in its body",
        25,
        headers=("Content-Type: image/png", "Content-Length: 2000"),
        body=_SMALL,
        status=NOT_AWAITED,
        closes=True,
    ),
    _image("client leaves before its answer", 25, status=NOT_AWAITED),
)
assert sum(kind.share for kind in KINDS) == 10_000
