"""Stands in for `tfleet registry`, `tfleet proxy` and `tfleet worker`: as quick to start as Python.

STAND_IN_WORKER is how workers behave: `good`, `unusable` (exit code 2), `hostile` (likewise, with an escape
sequence in its error), `deaf` (to SIGTERM) or `dying`.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


class Proxy(BaseHTTPRequestHandler):
    """Always has two workers that are ready and one that is not."""

    def do_GET(self) -> None:
        states = ["ready", "starting", "ready"]
        body = json.dumps({"workers": [{"id": str(n), "state": state} for n, state in enumerate(states)]})
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        if self.path == "/workers":
            self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it so
        pass


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("role")
    parser.add_argument("--port", type=int, required=True)
    options, _ = parser.parse_known_args()
    behaviour = os.environ.get("STAND_IN_WORKER", "good") if options.role == "worker" else "good"
    if behaviour == "unusable":
        print("Usage: worker\n\nError: no model here\n", file=sys.stderr)
        sys.exit(2)
    if behaviour == "hostile":
        print("tfleet worker: no model a\x1b[2Jb", file=sys.stderr)
        sys.exit(2)
    if behaviour == "dying":
        sys.exit(7)
    signal.signal(signal.SIGTERM, signal.SIG_IGN if behaviour == "deaf" else _end)
    server = HTTPServer(("127.0.0.1", options.port), Proxy)
    print(f"{options.role} is {behaviour}")
    server.serve_forever()


def _end(number: int, frame: object) -> None:
    print("drained")
    sys.exit(0)


if __name__ == "__main__":
    main()
