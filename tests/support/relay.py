"""A relay in front of a server: a witness that counts the bytes passing it, and a line that can be cut."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Iterator

from tfleet.contract.address import Address


class Relay:
    """Counts what clients send (`received_bytes`) on connections to `address`.

    While it is cut nothing passes and nobody is told, as where packets get lost: what was on its way then
    arrives when it is mended.
    """

    def __init__(self, listener: socket.socket, target: Address) -> None:
        self.address = Address(*listener.getsockname())
        self.received_bytes = 0
        self._listener = listener
        self._target = target
        self._lock = threading.Lock()
        self._whole = threading.Event()
        self._whole.set()
        self._threads = [threading.Thread(target=self._accept, name="relay")]

    def start(self) -> None:
        self._threads[0].start()

    def cut(self) -> None:
        self._whole.clear()

    def mend(self) -> None:
        self._whole.set()

    def stop(self) -> None:
        self.mend()
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
                self._whole.wait()
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def relay(target: Address, *, port: int = 0) -> Iterator[Relay]:
    """A relay to `target` inside the block, on any free port unless told."""
    with socket.create_server(("127.0.0.1", port)) as listener:
        running = Relay(listener, target)
        running.start()
        try:
            yield running
        finally:
            running.stop()


@contextlib.asynccontextmanager
async def relay_beside(target: Address) -> AsyncIterator[Relay]:
    """The same where the target is on this very loop, which must turn while the relay waits for its end."""
    made = relay(target)
    running = made.__enter__()
    try:
        yield running
    finally:
        await asyncio.to_thread(made.__exit__, None, None, None)
