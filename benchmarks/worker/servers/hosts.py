"""`python -m benchmarks.worker.servers.hosts NAME PORT`: one server with the application.

All have one process, 8 threads and connections that are kept. What ends them is SIGTERM.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable

from benchmarks.worker.servers.app import app
from tfleet.worker.wsgi.incoming_body import BodyLimits
from tfleet.worker.wsgi.server import WsgiServer

HOST = "127.0.0.1"
THREADS = 8
_APP = "benchmarks.worker.servers.app:app"
_GRACE_S = 1.0  # the worker's --drain-grace
_DRAIN_S = 20.0  # and its --drain-timeout


def tfleet(port: int) -> None:
    """The worker's own: the shared HTTP server with `worker/wsgi/`."""
    asked = threading.Event()
    server = WsgiServer(
        host=HOST,
        port=port,
        threads=THREADS,
        body_limits=BodyLimits(32 * 1024 * 1024),
    )
    signal.signal(signal.SIGTERM, lambda *_: asked.set())
    server.start(app)
    while not asked.wait(0.1):
        pass
    server.announce_drain()
    threading.Event().wait(_GRACE_S)
    server.close(_DRAIN_S)


def waitress(port: int) -> None:
    """As it comes."""
    from waitress import serve  # noqa: PLC0415 - each process imports its own server only

    serve(app, host=HOST, port=port, threads=THREADS)


def cheroot(port: int) -> None:
    """CherryPy's."""
    from cheroot.wsgi import Server as Cheroot  # noqa: PLC0415 - each process imports its own server only

    server = Cheroot((HOST, port), app, numthreads=THREADS, request_queue_size=1024)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.stop).start())
    server.start()


def werkzeug(port: int) -> None:
    """Flask's own, for development."""
    logging.getLogger("werkzeug").disabled = True
    app.run(host=HOST, port=port, threaded=True)


def granian(port: int) -> None:
    """In Rust; the application runs in a process that it starts."""
    _become("granian", "--interface", "wsgi", "--host", HOST, "--port", str(port), "--workers", "1",
            "--blocking-threads", str(THREADS), "--no-ws", "--log-level", "critical", _APP)  # fmt: skip


def gunicorn(port: int) -> None:
    """With threads; the application runs in a process that it forks."""
    _become("gunicorn", "--worker-class", "gthread", "--threads", str(THREADS), "--workers", "1",
            "--bind", f"{HOST}:{port}", "--keep-alive", "75", "--log-level", "critical", _APP)  # fmt: skip


def _become(module: str, *arguments: str) -> None:
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])


HOSTS: dict[str, Callable[[int], None]] = {
    host.__name__: host for host in (tfleet, waitress, cheroot, gunicorn, granian, werkzeug)
}

if __name__ == "__main__":
    HOSTS[sys.argv[1]](int(sys.argv[2]))
