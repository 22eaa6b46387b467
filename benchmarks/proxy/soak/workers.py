"""`python -m benchmarks.proxy.soak.workers N`: fake workers that answer at once, so that the proxy is busy.

It prints their ports on one line. The header `X-Soak` of a request says which of FAULTS its worker shows. One
that makes the proxy try elsewhere comes once for each `X-Request-Id`, so that the next worker answers.
"""

from __future__ import annotations

import asyncio
import re
import sys
from typing import Final, cast

_BODY: Final = b'[["tiger cat",0.379703],["Egyptian cat",0.366591],["tabby",0.174622]]'
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_FAULT: Final = re.compile(rb"\r\nx-soak: *(\w+)", re.IGNORECASE)
_ID: Final = re.compile(rb"\r\nx-request-id: *(\S+)", re.IGNORECASE)


def _answer(status: bytes, body: bytes = _BODY) -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        status,
        len(body),
        body,
    )


_OK: Final = _answer(b"200 OK")
FAULTS: Final[dict[bytes, tuple[bytes, bool]]] = {
    b"reset": (b"", False),
    b"half": (_OK[:-20], False),
    b"busy": (_answer(b"429 Too Many Requests"), True),
    b"leaving": (_answer(b"503 Service Unavailable"), True),
    b"closes": (_OK, False),
}
"""What is written, and whether the connection is kept. Without any of these it is `_OK`, and kept."""


class _Connection(asyncio.Protocol):
    def __init__(self, faulted: set[bytes]) -> None:
        self._faulted = faulted
        self._came = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._came += data
        head, end, rest = self._came.partition(b"\r\n\r\n")
        if not end:
            return
        if length := _LENGTH.search(head):
            complete = len(rest) >= int(length[1])
        else:
            complete = head.startswith(b"GET") or rest.endswith(b"0\r\n\r\n")
        if complete:
            self._came = b""
            self._answer(head)

    def _answer(self, head: bytes) -> None:
        fault, name = _FAULT.search(head), _ID.search(head)
        if fault is None or name is None or name[1] in self._faulted:
            if name is not None:
                self._faulted.discard(name[1])
            self._transport.write(_OK)
            return
        text, keep = FAULTS[fault[1]]
        if fault[1] not in {b"half", b"closes"}:  # those are not sent again
            self._faulted.add(name[1])
        self._transport.write(text)
        if not text:
            self._transport.abort()
        elif not keep:
            self._transport.close()


async def _serve(count: int) -> None:
    faulted: set[bytes] = set()
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(lambda: _Connection(faulted), "127.0.0.1", 0) for _ in range(count)]
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
