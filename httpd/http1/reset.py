"""Closes a connection with RST instead of FIN."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Final

_DISCARD: Final = struct.pack("ii", 1, 0)


def reset(transport: asyncio.Transport) -> None:
    """Close the connection at once with RST. Unsent bytes are lost, and the other side sees an error."""
    # The loop's own socket object may lack `setsockopt`, and `dup` fails when no descriptor is left.
    same = socket.socket(fileno=transport.get_extra_info("socket").fileno())
    try:
        same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _DISCARD)
    finally:
        same.detach()
    transport.abort()
