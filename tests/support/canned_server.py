"""A server that says the same few bytes to everybody, for clients that must bear any answer."""

import contextlib
import socket
import threading
from collections.abc import Iterator

from tests.support.free_ports import free_port
from tfleet.contract.address import Address


@contextlib.contextmanager
def canned(answer: bytes, *, port: int = 0) -> Iterator[Address]:
    """Where it listens, on any free port unless told. Each connection gets the answer after its first bytes,
    and is closed.
    """
    with socket.create_server(("127.0.0.1", port)) as listener:

        def serve() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with client, contextlib.suppress(ConnectionError):  # who has read enough may leave
                    client.recv(65536)
                    client.sendall(answer)

        thread = threading.Thread(target=serve, name="canned")
        thread.start()
        try:
            yield Address(*listener.getsockname())
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def http(status: str, body: bytes = b"", *headers: str) -> bytes:
    """An HTTP answer that ends its connection."""
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join([*head, "", ""]).encode() + body


def nobody() -> Address:
    """An address where nobody listens."""
    return Address("127.0.0.1", free_port())
