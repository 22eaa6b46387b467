from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading

import pytest

from tests.support.canned_server import nobody
from tfleet.deploy.docker.healthcheck import ready

pytestmark = pytest.mark.process


def _answering(head: bytes) -> tuple[socket.socket, threading.Thread]:
    """A listener, and the thread that gives its one visitor this answer."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        visitor, _ = listener.accept()
        with visitor:
            assert visitor.recv(4096).startswith(b"GET /readyz HTTP/1.1\r\n")
            visitor.sendall(head)

    thread = threading.Thread(target=answer)
    thread.start()
    return listener, thread


@pytest.mark.parametrize(
    ("head", "well"),
    [(b"HTTP/1.1 200 OK\r\n\r\n", True), (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", False)],
)
def test_ready_is_what_readyz_answers(head: bytes, well: bool) -> None:
    listener, thread = _answering(head)
    with listener:
        assert ready(listener.getsockname()[1]) == (well, head.decode())
        thread.join()


def test_without_a_listener_it_is_not_ready() -> None:
    well, said = ready(nobody().port)
    assert not well
    assert "refused" in said


@pytest.mark.parametrize(("head", "code"), [(b"HTTP/1.1 200 OK\r\n\r\n", 0), (b"HTTP/1.1 503 No\r\n\r\n", 1)])
def test_the_exit_code_says_it_to_docker(head: bytes, code: int) -> None:
    listener, thread = _answering(head)
    with listener:
        environment = {**os.environ, "TFLEET_PORT": str(listener.getsockname()[1])}
        command = [sys.executable, "-m", "tfleet.deploy.docker.healthcheck"]
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        thread.join()
    assert (run.returncode, run.stdout.splitlines()[0]) == (code, head.decode().splitlines()[0])
