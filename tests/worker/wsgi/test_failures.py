"""What fails in the server or in the application, and who notices."""

import socket
import threading
import time
from typing import Any

import pytest
import requests
from structlog.testing import capture_logs

from tests.worker.wsgi.busy_server import POST, quick
from tfleet.worker.wsgi.incoming_body import BodyLimits
from tfleet.worker.wsgi.server import WsgiServer


@pytest.mark.process
def test_a_failed_event_loop_is_reported() -> None:
    failed = threading.Event()

    def broken() -> None:
        raise RuntimeError("a mistake of ours")

    server = WsgiServer(
        host="127.0.0.1", port=0, threads=1, body_limits=BodyLimits(1000), once_a_second=broken
    )
    with capture_logs() as logs:
        server.start(quick, on_failure=failed.set)
        assert failed.wait(10)
    assert [entry["event"] for entry in logs] == ["HTTP server failed"]
    server.announce_drain()
    assert server.close(timeout_s=5) == 0


@pytest.mark.process
def test_a_failure_while_it_closes_ends_the_close() -> None:
    begun, go_on, fail = threading.Event(), threading.Event(), threading.Event()

    def held(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        begun.set()
        go_on.wait(60)
        return quick(environ, start_response)

    def broken() -> None:
        if fail.is_set():
            raise RuntimeError("a mistake of ours")

    server = WsgiServer(
        host="127.0.0.1", port=0, threads=1, body_limits=BodyLimits(1000), once_a_second=broken
    )
    server.start(held)
    address = server.address.host, server.address.port
    with capture_logs(), socket.create_connection(address, timeout=20) as client:
        client.sendall(POST + b"x")
        assert begun.wait(10)
        fail.set()
        began_s = time.monotonic()
        server.close(timeout_s=60)
        assert time.monotonic() - began_s < 30
    go_on.set()


def test_a_system_exit_costs_only_its_request() -> None:
    def leaves(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        raise SystemExit

    server = WsgiServer(host="127.0.0.1", port=0, threads=2, body_limits=BodyLimits(1000))
    with capture_logs() as logs:
        server.start(leaves)
        images = [requests.post(server.address.url, data=b"abc", timeout=20) for _ in range(3)]
        page = requests.get(f"{server.address.url}/healthz", timeout=20)
        server.close(timeout_s=5)
    assert [answer.status_code for answer in (*images, page)] == [500] * 4
    assert [entry["event"] for entry in logs] == ["request failed"] * 4
    assert repr(server.queue) == "<AdmissionQueue waiting=0 bytes=0 served=0>"
