"""What is rejected by its head: nothing of the body is kept, and no thread is taken."""

import pytest

from tests.worker.wsgi.busy_server import EMPTY, FULL, POST, Gated, Make, statuses
from tfleet.worker.rejection import Rejection

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"


def closed(_header: str | None, _query: str) -> Rejection | None:
    return Rejection.TICKET_MISSING


def with_word(header: str | None, query: str) -> Rejection | None:
    return None if "sesame" in (header, query) else Rejection.TICKET_MISSING


@pytest.mark.parametrize("body", [b"", b"x", bytes(50_000)])
def test_a_rejection_needs_no_thread(make: Make, app: Gated, body: bytes) -> None:
    scene = make(check_ticket=with_word)
    for _ in range(4):
        scene.client().request("POST", "/?sesame", b"held")
    scene.settled("<AdmissionQueue waiting=2 bytes=8 served=2>")
    stranger = scene.client()
    for _ in range(2):  # on one connection
        assert stranger.send_image(body).read()[1] == b"ticket-missing"
    assert app.threads == {"http"}
    assert scene.queue == "<AdmissionQueue waiting=2 bytes=8 served=2>"
    app.gate.set()
    scene.settled(EMPTY)
    assert stranger.send_image(b"in", "/?sesame").read() == (200, b"in"), "on the same connection"


def test_a_ticket_comes_in_the_header_x_ticket(make: Make, app: Gated) -> None:
    scene = make(check_ticket=with_word)
    app.gate.set()
    client = scene.client()
    client.request("POST", "/predict", b"in", {"x-ticket": "sesame"})
    assert client.read() == (200, b"in")
    client.request("POST", "/predict", b"in", {"X_Ticket": "sesame"})
    assert client.read()[1] == b"ticket-missing"


PREDICTIONS = [
    "GET /predict?G1=1",
    "HEAD /predict",
    "GET /models/m/predict",
    "GET /models/m/versions/1/predict",
]


@pytest.mark.parametrize("asked", PREDICTIONS)
def test_a_get_of_a_prediction_needs_a_ticket(make: Make, asked: str) -> None:
    scene = make(check_ticket=closed)
    assert scene.client().ask(*asked.split()) == 429


@pytest.mark.parametrize("asked", PREDICTIONS)
def test_a_get_of_a_prediction_waits_in_the_queue(make: Make, app: Gated, asked: str) -> None:
    scene = make()
    scene.fill()
    client = scene.client()
    assert client.ask(*asked.split()) == 429
    assert app.rejected == ["queue-requests"]
    app.gate.set()


def test_a_get_of_a_prediction_for_another_is_refused(make: Make, app: Gated) -> None:
    client = make().client()
    client.request("GET", "/predict?G1=1", headers={"X-Worker": "w2"})
    assert client.read() == (429, b"misdirected")


PAGES = ["GET /metrics", "GET /readyz", "GET /drain", "GET /", "PUT /predict", "GET /models/predict"]


@pytest.mark.parametrize("asked", PAGES)
def test_pages_need_no_ticket(make: Make, asked: str) -> None:
    assert make(check_ticket=closed).client().ask(*asked.split()) == 200


@pytest.mark.parametrize("path", ["/drain", "//drain", "/%64rain", "/drain?worker=w1"])
def test_a_drain_needs_a_ticket(make: Make, app: Gated, path: str) -> None:
    client = make(check_ticket=closed).client()
    for body in (b"", b"x"):
        client.request("POST", path, body)
        assert client.read() == (429, b"ticket-missing")
    assert app.threads == {"http"}, "and needs no thread for that"
    assert make(check_ticket=with_word).client().ask("POST", "/drain?sesame") == 200


@pytest.mark.parametrize("path", [b"/", b"/drain"])
@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n",
        b"Content-Length: 99999\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_a_rejected_large_or_unsent_body_is_not_awaited(
    make: Make, app: Gated, head: bytes, path: bytes
) -> None:
    scene = make(check_ticket=closed)
    with scene.socket() as client:
        client.sendall(HEAD.replace(b"/ ", path + b" ", 1) + head)
        said = client.makefile("rb").read()
    assert said.startswith(b"HTTP/1.1 429 "), "of this application; and no 100 Continue before it"
    assert b"Connection: close" in said
    assert app.rejected == ["ticket-missing"]
    assert scene.queue == EMPTY


def test_each_pipelined_request_needs_a_ticket(make: Make, app: Gated) -> None:
    scene = make(check_ticket=with_word)
    app.gate.set()
    with scene.socket() as client:
        client.sendall(POST + b"1" + POST.replace(b"/ ", b"/?sesame ") + b"2" + POST + b"3")
        assert statuses(client, 3) == [429, 200, 429]
    assert app.served == [b"2"]


def test_the_ticket_is_checked_before_the_queue(make: Make, app: Gated) -> None:
    scene = make(check_ticket=with_word)
    for body in (b"held", b"held", b"waits", b"waits"):
        scene.client().send_image(body, "/?sesame")
    scene.settled(FULL)
    assert scene.client().send_image(b"late", "/?sesame").read()[1] == b"queue-requests"
    assert scene.client().send_image(b"late").read()[1] == b"ticket-missing"
    app.gate.set()


@pytest.mark.parametrize("length", [1, 99_999])
def test_an_image_for_another_worker_is_refused_unread(make: Make, app: Gated, length: int) -> None:
    scene = make()
    with scene.socket() as client:
        head = b"X-Worker: w2\r\nContent-Length: %d\r\n\r\n" % length
        client.sendall(HEAD + head + b"x" * min(length, 1))
        assert client.makefile("rb").readline().startswith(b"HTTP/1.1 429 "), "of this application"
    assert app.rejected == ["misdirected"]
    assert app.served == []


def test_a_drain_for_another_worker_is_refused(make: Make) -> None:
    client = make().client()
    client.request("POST", "/drain", headers={"X-Worker": "w2"})
    assert client.read() == (429, b"misdirected")
    client.request("POST", "/drain", headers={"X-Worker": "w1"})
    assert client.read()[0] == 200


@pytest.mark.parametrize("headers", [{}, {"X-Worker": "w1"}])
def test_an_image_for_this_worker_or_for_any_is_taken(
    make: Make, app: Gated, headers: dict[str, str]
) -> None:
    app.gate.set()
    client = make().client()
    client.request("POST", "/", b"in", headers)
    assert client.read() == (200, b"in")


def test_get_requests_for_another_worker_are_answered(make: Make) -> None:
    client = make().client()
    client.request("GET", "/metrics", headers={"X-Worker": "w2"})
    assert client.read()[0] == 200
