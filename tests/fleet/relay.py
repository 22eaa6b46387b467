"""A relay in front of a server that counts the bytes passing it: a witness from outside."""

import contextlib
import socket
import threading
from collections.abc import Iterator

from tfleet.discovery.address import Address


class Relay:
    """Counts what clients send (`received_bytes`) on connections to `address`."""

    def __init__(self, listener: socket.socket, target: Address) -> None:
        self.address = Address(*listener.getsockname())
        self.received_bytes = 0
        self._listener = listener
        self._target = target
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._accept, name="relay")]

    def start(self) -> None:
        self._threads[0].start()

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection((self._target.host, self._target.port))
            for source, sink, counted in ((client, server, True), (server, client, False)):
                thread = threading.Thread(target=self._pump, args=(source, sink, counted), name="relay")
                self._threads.append(thread)
                thread.start()

    def _pump(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:
        with source, contextlib.suppress(OSError):
            while data := source.recv(65536):
                if counted:
                    with self._lock:
                        self.received_bytes += len(data)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def relay(target: Address) -> Iterator[Relay]:
    """A relay to `target` inside the block."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        running = Relay(listener, target)
        running.start()
        try:
            yield running
        finally:
            running.stop()
