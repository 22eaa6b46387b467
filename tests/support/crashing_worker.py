"""A worker's process that a poisoned body ends, as a decoder's fault does.

Run as `python -m tests.support.crashing_worker`.

It prints its port. Everybody else gets an answer, also while it is dying.
"""

import os
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

POISON = b"poison"
_DIES_AFTER_S = 0.2


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body of an answer in one piece

    def do_GET(self) -> None:
        self._answer(b"ready\n")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if POISON in body:
            time.sleep(_DIES_AFTER_S)
            os._exit(1)
        self._answer(body)

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Nobody reads it."""

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    print(server.server_port, flush=True)
    server.serve_forever()
