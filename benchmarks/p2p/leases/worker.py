"""A fake worker in a process of its own: `python -m benchmarks.p2p.leases.worker SECONDS`.

It reads an image and answers, one after the other, each in so many seconds; it prints its port.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import cast

_BODY = json.dumps(
    {"success": True, "predictions": [{"label": f"label {n}", "probability": 0.1} for n in range(5)]}
).encode()
_HEAD = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(_BODY)}\r\n\r\n".encode()
_LENGTH = b"content-length:"


class _Connection(asyncio.Protocol):
    """A minimal HTTP server, so that its own cost stays small."""

    free_at_s = 0.0

    def __init__(self, answer_s: float) -> None:
        self._answer_s = answer_s
        self._got = bytearray()
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._got += data
        end = self._got.find(b"\r\n\r\n")
        if end < 0:
            return
        _, _, length = bytes(self._got[:end]).lower().partition(_LENGTH)
        if len(self._got) < end + 4 + int(length.split(b"\r\n", 1)[0] or 0):
            return
        self._got.clear()
        if not self._answer_s:
            self._transport.write(_HEAD + _BODY)
            return
        _Connection.free_at_s = max(self._loop.time(), _Connection.free_at_s) + self._answer_s
        self._loop.call_at(_Connection.free_at_s, self._transport.write, _HEAD + _BODY)


async def main(answer_s: float) -> None:
    """Serve until it is killed."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(answer_s), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1])))
