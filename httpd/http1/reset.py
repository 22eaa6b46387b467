"""The hard end of a connection: RST instead of FIN."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Final

_DISCARD: Final = struct.pack("ii", 1, 0)


def reset(transport: asyncio.Transport) -> None:
    """End the connection at once. What was not sent yet never will be, and the other side is told so."""
    # The loop's own object need not have all methods, and for a copy there may be no descriptor left.
    same = socket.socket(fileno=transport.get_extra_info("socket").fileno())
    try:
        same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _DISCARD)
    finally:
        same.detach()
    transport.abort()
