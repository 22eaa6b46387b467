"""Whether somebody listens at an address."""

from __future__ import annotations

import socket

from tfleet.contract.address import Address

_TIMEOUT_S = 1.0


def reachable(address: Address) -> bool:
    """Whether a connection can be made within a second."""
    try:
        socket.create_connection((address.host, address.port), timeout=_TIMEOUT_S).close()
    except OSError:
        return False
    return True
