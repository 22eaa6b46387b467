"""The hard end of a connection: RST instead of FIN."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from typing import Final

_DISCARD: Final = struct.pack("ii", 1, 0)


def reset(transport: asyncio.Transport) -> None:
    """End the connection at once. What was not sent yet never will be, and the other side is told so."""
    descriptor = os.dup(transport.get_extra_info("socket").fileno())
    with socket.socket(fileno=descriptor) as same:  # a loop's own socket object need not have all methods
        same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _DISCARD)
    transport.abort()
