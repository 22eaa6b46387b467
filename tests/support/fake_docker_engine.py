"""An engine that knows one container, as far as a worker asks it."""

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tfleet.contract.address import Address

CONTAINER = "3f" * 32


@contextlib.contextmanager
def engine(ports: Mapping[str, Any], *, refuses: bool = False) -> Iterator[Address]:
    """Where it listens. One that `refuses` shows nobody anything but its version."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, document = self._answer()
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _answer(self) -> tuple[int, Mapping[str, Any]]:
            if self.path.endswith("/version"):
                return 200, {"ApiVersion": "1.41", "MinAPIVersion": "1.12"}
            if refuses:
                return 403, {"message": "not for you"}
            if self.path == f"/v1.41/containers/{CONTAINER}/json":
                return 200, {"Id": CONTAINER, "Name": "/fleet-worker-1", "NetworkSettings": {"Ports": ports}}
            return 404, {"message": "No such container"}

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), name="engine")
        thread.start()
        try:
            yield Address("127.0.0.1", server.server_port)
        finally:
            server.shutdown()
            thread.join()
