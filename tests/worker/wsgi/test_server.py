import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.environment import users_environment
from tests.support.waiting import eventually_sync
from tests.worker.wsgi.busy_server import quick
from tfleet.contract.problem import Problem
from tfleet.httpd.admission import ConnectionLimits
from tfleet.worker.wsgi.incoming_body import BodyLimits
from tfleet.worker.wsgi.server import WsgiServer

App = Callable[[dict[str, Any], Any], list[bytes]]


class Held:
    """An application that answers when it is let."""

    def __init__(self) -> None:
        self.arrived = threading.Event()
        self.go_on = threading.Event()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        body = environ["wsgi.input"].read()
        self.arrived.set()
        self.go_on.wait(20)
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]


@pytest.fixture
def make() -> Iterator[Callable[[App], WsgiServer]]:
    made: list[WsgiServer] = []

    def start(app: App) -> WsgiServer:
        server = WsgiServer(host="127.0.0.1", port=0, threads=2, body_limits=BodyLimits(1000))
        made.append(server)
        server.start(app)
        return server

    yield start
    for server in made:
        server.close(timeout_s=0)


def post(server: WsgiServer, body: bytes = b"abc") -> requests.Response:
    return requests.post(server.address.url, data=body, timeout=20)


def refused(server: WsgiServer) -> bool:
    with socket.socket() as client:
        return client.connect_ex((server.address.host, server.address.port)) != 0


def test_the_address_is_known_before_the_server_starts() -> None:
    server = WsgiServer(host="127.0.0.1", port=0, threads=1, body_limits=BodyLimits(1000))
    assert server.address.port > 0
    assert server.close(timeout_s=0) == 0


def test_a_taken_port_is_an_os_error(make: Callable[[App], WsgiServer]) -> None:
    taken = make(quick).address
    with pytest.raises(OSError, match="in use"):
        WsgiServer(host=taken.host, port=taken.port, threads=1, body_limits=BodyLimits(1))


def test_closing_finishes_what_is_in_flight(make: Callable[[App], WsgiServer]) -> None:
    app = Held()
    server = make(app)
    answers: list[requests.Response] = []
    client = threading.Thread(target=lambda: answers.append(post(server)))
    client.start()
    assert app.arrived.wait(20)
    unfinished: list[int] = []
    closing = threading.Thread(target=lambda: unfinished.append(server.close(timeout_s=20)))
    closing.start()
    eventually_sync(lambda: refused(server))
    app.go_on.set()
    closing.join()
    client.join()
    assert unfinished == [0]
    assert answers[0].content == b"abc"
    assert answers[0].headers["Connection"] == "close"


@pytest.mark.process
def test_a_request_that_is_half_sent_counts_as_in_flight(make: Callable[[App], WsgiServer]) -> None:
    server = make(quick)
    with socket.create_connection((server.address.host, server.address.port), timeout=20) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc")
        eventually_sync(lambda: "busy=1" in repr(server))
        closing = threading.Thread(target=lambda: server.close(timeout_s=20))
        closing.start()
        eventually_sync(lambda: refused(server))
        client.sendall(b"def")
        answer = client.makefile("rb").read()
        closing.join()
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"abcdef")


def test_a_large_body_needs_no_file() -> None:
    """Where there is no room for files, photographs are none."""

    def temporary(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        read = len(environ["wsgi.input"].read())
        files = [link for link in map(_target, Path("/proc/self/fd").iterdir()) if "deleted" in link]
        body = f"{read} {files}".encode()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    server = WsgiServer(host="127.0.0.1", port=0, threads=1, body_limits=BodyLimits(4_000_000))
    server.start(temporary)
    try:
        before = post(server).text.removeprefix("3 ")
        assert post(server, bytes(4_000_000)).text == f"4000000 {before}"
    finally:
        server.close(timeout_s=0)


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except FileNotFoundError:  # the folder's own
        return ""


def test_health_is_answered_while_every_thread_is_busy(make: Callable[[App], WsgiServer]) -> None:
    app = Held()

    def routed(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        return (quick if environ["PATH_INFO"] == "/readyz" else app)(environ, start_response)

    server = make(routed)
    clients = [threading.Thread(target=lambda: post(server)) for _ in range(4)]
    for client in clients:
        client.start()
    eventually_sync(lambda: "busy=4" in repr(server))
    assert requests.get(f"{server.address.url}/readyz", timeout=5).ok
    app.go_on.set()
    for client in clients:
        client.join()


def test_close_aborts_and_counts_what_takes_too_long(make: Callable[[App], WsgiServer]) -> None:
    app = Held()
    server = make(app)
    failures: list[Exception] = []

    def client() -> None:
        try:
            post(server)
        except requests.ConnectionError as error:
            failures.append(error)

    thread = threading.Thread(target=client)
    thread.start()
    assert app.arrived.wait(20)
    assert server.close(timeout_s=0.05) == 1
    app.go_on.set()
    thread.join()
    assert len(failures) == 1


def test_closing_does_not_wait_for_idle_connections(make: Callable[[App], WsgiServer]) -> None:
    server = make(quick)
    with requests.Session() as session:
        assert session.post(server.address.url, data=b"x", timeout=20).content == b"x"
        began_s = time.monotonic()
        assert server.close(timeout_s=20) == 0
        assert time.monotonic() - began_s < 10


def test_a_draining_server_answers_and_keeps_no_connection(make: Callable[[App], WsgiServer]) -> None:
    server = make(quick)
    assert "Connection" not in post(server).headers
    server.announce_drain()
    answer = post(server)
    assert answer.content == b"abc"
    assert answer.headers["Connection"] == "close"


def test_an_answer_of_one_piece_is_one_segment(make: Callable[[App], WsgiServer]) -> None:
    server = make(quick)
    with socket.create_connection((server.address.host, server.address.port), timeout=20) as client:
        for _ in range(50):
            client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
            assert client.recv(65536).endswith(b"\r\n\r\nabc")


def test_an_answer_of_several_pieces_is_whole(make: Callable[[App], WsgiServer]) -> None:
    def pieces(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Length", "6")] if environ["PATH_INFO"] == "/known" else [])
        return [b"", b"abc", b"def"]

    server = make(pieces)
    for path in ("/known", "/unknown"):
        assert requests.get(server.address.url + path, timeout=20).content == b"abcdef"


@pytest.mark.process
def test_clients_that_connected_before_the_end_are_answered(make: Callable[[App], WsgiServer]) -> None:
    arrived, go_on = threading.Event(), threading.Event()

    def hold_the_loop(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        arrived.set()
        while not go_on.is_set():
            pass  # health is answered in the loop's thread: meanwhile nobody is accepted
        return quick(environ, start_response)

    server = make(hold_the_loop)
    address = (server.address.host, server.address.port)
    asked = b"GET /healthz?%d HTTP/1.1\r\nHost: x\r\n\r\n"
    clients = [socket.create_connection(address, timeout=20)]
    clients[0].sendall(asked % 0)
    assert arrived.wait(20)
    for number in range(1, 100):
        clients.append(socket.create_connection(address, timeout=20))
        clients[number].sendall(asked % number)
    closing = threading.Thread(target=lambda: server.close(timeout_s=20))
    closing.start()
    go_on.set()
    closing.join()
    answers = [client.makefile("rb").read() for client in clients]
    for client in clients:
        client.close()
    assert [answer for answer in answers if not answer.startswith(b"HTTP/1.1 200")] == []


@pytest.mark.process
def test_a_new_connection_may_still_ask_during_close(make: Callable[[App], WsgiServer]) -> None:
    server = make(quick)
    with socket.create_connection((server.address.host, server.address.port), timeout=20) as client:
        closing = threading.Thread(target=lambda: server.close(timeout_s=20))
        closing.start()
        closing.join(0.2)
        assert closing.is_alive()
        assert refused(server)
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 200")
        closing.join()


@pytest.mark.process
def test_idle_connections_stay_until_the_last_answer() -> None:
    """A client that asks on one is answered, and by the end of one that asks nothing it sees the worker's."""
    app = Held()

    def routed(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        return (app if environ["REQUEST_METHOD"] == "POST" else quick)(environ, start_response)

    limits = ConnectionLimits(10, header_timeout_s=0.3)
    server = WsgiServer(
        host="127.0.0.1", port=0, threads=1, body_limits=BodyLimits(1000), connection_limits=limits
    )
    server.start(routed)
    address = (server.address.host, server.address.port)
    with requests.Session() as kept:
        assert kept.get(f"{server.address.url}/healthz", timeout=20).ok
        uploading = threading.Thread(target=lambda: post(server))
        uploading.start()
        assert app.arrived.wait(20)
        with socket.create_connection(address, timeout=20) as watching:
            server.announce_drain()
            closing = threading.Thread(target=lambda: server.close(timeout_s=20))
            closing.start()
            eventually_sync(lambda: refused(server))
            watching.settimeout(
                1.5
            )  # longer than a client may take for its first head, and a newcomer at the end
            with pytest.raises(TimeoutError):
                watching.recv(1)
            answer = kept.get(f"{server.address.url}/healthz", timeout=20)
            assert (answer.status_code, answer.headers["Connection"]) == (200, "close")
            app.go_on.set()
            watching.settimeout(20)
            assert watching.recv(1) == b""
    closing.join()
    uploading.join()


OUT_OF_FILES = """
import os, resource, sys
from tests.worker.wsgi.busy_server import quick
from tfleet.contract.problem import Problem
from tfleet.worker.wsgi.incoming_body import BodyLimits
from tfleet.worker.wsgi.server import WsgiServer

def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "0")])
    return []

server = WsgiServer(host="127.0.0.1", port=0, threads=1, body_limits=BodyLimits(10))
server.start(app)
last = max(int(number) for number in os.listdir("/proc/self/fd"))
resource.setrlimit(resource.RLIMIT_NOFILE, (last + 4, last + 4))
print(server.address.port, flush=True)
sys.stdin.read()
server.close(timeout_s=0)
"""


@pytest.mark.process
def test_without_open_files_it_waits_quietly() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", OUT_OF_FILES],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=users_environment(),
    )
    with process, contextlib.ExitStack() as clients:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        first, *others, last = [
            clients.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
            for _ in range(30)
        ]
        asked = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
        for client in (first, last):
            client.sendall(asked)
        assert first.recv(1000).startswith(b"HTTP/1.1 200")
        began_s = cpu_s(process.pid)
        last.settimeout(1)
        with pytest.raises(TimeoutError):
            last.recv(1000)
        assert cpu_s(process.pid) - began_s < 0.3
        first.sendall(asked)
        assert first.recv(1000).startswith(b"HTTP/1.1 200")
        for client in (first, *others):
            client.close()
        last.settimeout(20)
        assert last.recv(1000).startswith(b"HTTP/1.1 200")
        said, _ = process.communicate()
    assert said.count("new connections wait") == 1
    assert len(said.splitlines()) == 1


def cpu_s(pid: int) -> float:
    """The CPU time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_refusal_is_noted_with_its_answer() -> None:
    noted: list[tuple[str, Problem]] = []
    server = WsgiServer(host="127.0.0.1", port=0, threads=2, body_limits=BodyLimits(1000))
    server.start(quick, note_refusal=lambda name, problem: noted.append((name, problem)))
    try:
        too_much = requests.post(
            server.address.url, data=bytes(2000), headers={"X-Request-Id": "mine"}, timeout=20
        )
        assert post(server).status_code == 200
    finally:
        server.close(timeout_s=0)
    assert [(name, problem.body()) for name, problem in noted] == [("mine", too_much.content)]


LIMITED = """
import resource
from tfleet.worker.wsgi.server import CONNECTION_LIMITS, limit_to_open_files
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
print("most", limit_to_open_files(CONNECTION_LIMITS).max_connections)
"""


@pytest.mark.parametrize(
    ("soft", "hard", "most", "warned"),
    [(1024, 8192, 4096, False), (1024, 1024, 768, True), (100, 100, 16, True)],
    ids=["enough when raised", "too few", "hardly any"],
)
def test_connections_leave_open_files_for_the_rest(soft: int, hard: int, most: int, warned: bool) -> None:
    """In a process of its own: a limit that was lowered can't be raised again."""
    program = LIMITED.format(soft=soft, hard=hard)
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=users_environment(), check=True
    )
    assert run.stdout.splitlines()[-1] == f"most {most}"
    assert ("fewer connections are accepted" in run.stdout) == warned
