"""Whether the worker or the proxy of this container is ready: `python -m tfleet.deploy.docker.healthcheck`.

It runs every few seconds in every container, on what CPU the container may use: so it imports next to
nothing, and speaks the line of HTTP that it needs by itself.
"""

from __future__ import annotations

import os
import socket
import sys
from typing import Final

_TIMEOUT_S: Final = 4.0
_MAX_BYTES: Final = 4096
_QUESTION: Final = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def ready(port: int) -> tuple[bool, str]:
    """Whether `/readyz` at this port of loopback says 200, and the response's beginning or the error."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_S) as connection:
            connection.sendall(_QUESTION)
            answer = connection.recv(_MAX_BYTES)
    except OSError as error:
        return False, str(error)
    return answer.startswith(b"HTTP/1.1 200 "), answer.decode("latin-1")


if __name__ == "__main__":
    well, said = ready(int(os.environ["TFLEET_PORT"]))
    print(said)  # `docker inspect` shows it
    sys.exit(not well)
