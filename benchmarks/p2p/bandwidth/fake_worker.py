"""`python -m benchmarks.p2p.bandwidth.fake_worker HOST:PORT`: a fake worker that reads and ignores images.

It makes the network the limit. It knows as much of HTTP as the fleet's own client and
proxy send: heads that come whole and bodies with a length.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from typing import Final

from tfleet.contract.address import Address

_END: Final = b"\r\n\r\n"
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CONTINUE: Final = re.compile(rb"\r\nexpect: *100-continue", re.IGNORECASE)
_LABELS: Final = ("tiger cat", "Egyptian cat", "tabby", "lynx", "window screen")


class _Connection(asyncio.Protocol):
    """One connection of the proxy or a client."""

    def __init__(self, address: Address) -> None:
        predictions = [{"label": label, "probability": 0.2} for label in _LABELS]
        body = json.dumps({"success": True, "predictions": predictions}).encode()
        head = (
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nX-Worker: {address}\r\nX-Model: stand-in/1\r\n\r\n"
        )
        self._answer = head.encode() + body
        self._head = b""
        self._left = 0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        if self._left:
            self._left -= len(data)
        else:
            self._head += data
            end = self._head.find(_END)
            if end < 0:
                return
            length = _LENGTH.search(self._head, 0, end + 2)
            self._left = (int(length[1]) if length else 0) - (len(self._head) - end - len(_END))
            if self._left and _CONTINUE.search(self._head, 0, end + 2):
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._head = b""
        if self._left < 0:  # there was no length, or more came than it said
            self._transport.abort()
        elif not self._left:
            self._transport.write(self._answer)


async def serve(address: Address) -> None:
    """Never returns."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(address), address.host, address.port)
    print("listening", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(Address.parse(sys.argv[1])))
