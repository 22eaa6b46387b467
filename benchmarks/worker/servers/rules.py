"""Tests with real requests and a real SIGTERM how a server shuts down."""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from urllib.parse import urlsplit

from benchmarks.report.server_process import Server
from benchmarks.worker.servers.hosts import THREADS

_LONG_S = 7.0  # longer than any default of these servers' that breaks off what is in flight
_BUSY_S = 2.0
_AT_ONCE_S = 1.0
_OTHERS = 4


def health_while_busy(server: Server) -> bool:
    """Whether `/healthz` answers at once while all threads are busy."""
    with _in_flight(server, f"/predict?s={_BUSY_S:g}", THREADS):
        began_s = time.monotonic()
        answered = _status(_connection(server), "/healthz") == http.client.OK
        return answered and time.monotonic() - began_s < _AT_ONCE_S


def end(server: Server) -> tuple[bool, bool, bool]:
    """SIGTERM while a long request is in flight and other connections are idle.

    Whether the long one is finished; whether what is sent over the idle connections at that moment is
    answered, and says that the connection ends; and whether somebody new is still answered.
    """
    idle = [_connection(server) for _ in range(_OTHERS)]
    assert all(_status(each, "/healthz", keep=True) == http.client.OK for each in idle)
    with _in_flight(server, f"/predict?s={_LONG_S:g}", 1) as (long,):
        server.ask_to_stop()
        time.sleep(0.2)  # the signal is on its way to whichever process serves
        told = [_told_of_the_end(each) for each in idle]
        new = [_status(_connection(server), "/healthz") == http.client.OK for _ in range(_OTHERS)]
        return long.result() == http.client.OK, all(told), all(new)


@contextlib.contextmanager
def _in_flight(server: Server, path: str, requests: int) -> Iterator[list[Future[int]]]:
    """Requests that have been sent when the block begins."""
    sent = threading.Barrier(requests + 1)

    def ask() -> int:
        connection = _connection(server)
        connection.request("POST", path, b"an image", {"Content-Type": "image/jpeg"})
        sent.wait()
        return _answer(connection)

    with ThreadPoolExecutor(requests) as threads:
        asked = [threads.submit(ask) for _ in range(requests)]
        sent.wait()
        time.sleep(0.3)  # they are read and handed to the threads
        yield asked


def _connection(server: Server) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=30)


def _status(connection: http.client.HTTPConnection, path: str, *, keep: bool = False) -> int:
    """0 where the connection gave no answer."""
    try:
        connection.request("GET", path)
    except OSError:
        return 0
    return _answer(connection, keep=keep)


def _answer(connection: http.client.HTTPConnection, *, keep: bool = False) -> int:
    try:
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        if not keep:
            connection.close()
    return answer.status


def _told_of_the_end(connection: http.client.HTTPConnection) -> bool:
    try:
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return answer.status == http.client.OK and answer.will_close
