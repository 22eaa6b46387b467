import contextlib
import itertools
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from benchmarks.load import closed_loop
from benchmarks.load.form import Form
from tests.support.canned_server import nobody


@contextlib.contextmanager
def statuses_server(*statuses: int) -> Iterator[tuple[str, list[bytes]]]:
    """Answers with these in turn, and keeps the bodies."""
    turn, bodies = itertools.cycle(statuses), list[bytes]()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(next(turn))
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *arguments: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        serving = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}/", bodies
        server.shutdown()
        serving.join()


def test_each_request_is_the_form_and_failures_are_counted() -> None:
    with statuses_server(200, 500) as (url, bodies):
        found = closed_loop.load(url, Form.of(b"picture" * 10_000), 1, 0.5)
    assert found.answered == len(bodies) > 1
    assert found.failed == found.answered // 2
    assert set(bodies) == {Form.of(b"picture" * 10_000).body}
    assert 0 < found.p50_ms < 500


async def test_without_a_listener_each_request_fails() -> None:
    found = await closed_loop.sent(nobody().url + "/", iter([b"POST / HTTP/1.1\r\n\r\n"] * 3), 2)
    assert (found.answered, found.failed) == (0, 3)
