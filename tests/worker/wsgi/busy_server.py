"""A server with more to do than its threads can, and the clients that ask it something."""

import http.client
import socket
import threading
from collections.abc import Callable
from typing import Any

from tests.support.waiting import eventually_sync
from tfleet.worker.wsgi.admission_queue import QueueLimits
from tfleet.worker.wsgi.context import CheckTicket
from tfleet.worker.wsgi.environ import REJECTED
from tfleet.worker.wsgi.incoming_body import BodyLimits
from tfleet.worker.wsgi.server import WsgiServer

THREADS = 2
EMPTY = "<AdmissionQueue waiting=0 bytes=0 served=0>"
FULL = "<AdmissionQueue waiting=2 bytes=10 served=2>"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n"


class Gated:
    """Answers images when its gate is open, and everything else at once. It notes what it was asked."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.served: list[bytes] = []
        self.rejected: list[str] = []
        self.threads: set[str] = set()
        self.pages = 0

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        body = environ["wsgi.input"].read()
        status = "200 OK"
        if reason := environ.get(REJECTED):
            status = "429 Too Many Requests"
            self.rejected.append(reason)
            self.threads.add(threading.current_thread().name)
            body = reason.encode()
        elif environ["REQUEST_METHOD"] == "POST" and environ["PATH_INFO"] != "/drain":
            self.served.append(body)
            assert self.gate.wait(20)
        elif environ["PATH_INFO"] == "/page":
            self.pages += 1
            body = bytes(64 * 1024)
        start_response(status, [("Content-Length", str(len(body)))])
        return [body]


def quick(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Answers with the body."""
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


class Client(http.client.HTTPConnection):
    """One connection, on which sending and reading are two steps."""

    def __init__(self, server: WsgiServer) -> None:
        super().__init__(server.address.host, server.address.port, timeout=20)

    def send_image(self, body: bytes, path: str = "/") -> "Client":
        self.request("POST", path, body)
        return self

    def ask(self, method: str, path: str) -> int:
        self.request(method, path)
        return self.read()[0]

    def read(self) -> tuple[int, bytes]:
        answer = self.getresponse()
        return answer.status, answer.read()


class Scene:
    """A server, and the clients that ask it something."""

    def __init__(
        self, app: Gated, threads: int, limits: QueueLimits, check_ticket: CheckTicket | None = None
    ) -> None:
        self.server = WsgiServer(
            host="127.0.0.1",
            port=0,
            threads=threads,
            body_limits=BodyLimits(100_000),
            queue_limits=limits,
            check_ticket=check_ticket,
        )
        self._clients: list[Client] = []
        self.server.start(app, "w1")

    @property
    def queue(self) -> str:
        return repr(self.server.queue)

    def settled(self, queue: str) -> None:
        eventually_sync(lambda: self.queue, wanted=queue.__eq__)

    def client(self) -> Client:
        self._clients.append(Client(self.server))
        return self._clients[-1]

    def socket(self) -> socket.socket:
        return socket.create_connection((self.server.address.host, self.server.address.port), timeout=20)

    def send(self, *bodies: bytes) -> list[Client]:
        """Clients that have sent an image each, in this order."""
        before, clients = self._total(), []
        for count, body in enumerate(bodies, 1):
            clients.append(self.client().send_image(body))
            eventually_sync(self._total, wanted=(before + count).__eq__)
        return clients

    def fill(self) -> list[Client]:
        """As many as there are threads and places."""
        clients = self.send(*[b"held"] * THREADS, *[b"waits"] * 2)
        self.settled(FULL)
        return clients

    def close(self) -> None:
        for client in self._clients:
            client.close()
        self.server.close(timeout_s=20)

    def _total(self) -> int:
        """How many wait or are served."""
        words = self.queue.strip("<>").replace("=", " ").split()
        return int(words[2]) + int(words[6])


Make = Callable[..., Scene]


def statuses(client: socket.socket, count: int) -> list[int]:
    """Those of so many answers on one connection."""
    stream, found = client.makefile("rb"), []
    for _ in range(count):
        found.append(int(stream.readline().split()[1]))
        length = 0
        while (line := stream.readline().lower()) != b"\r\n":
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        stream.read(length)
    return found
