"""Small bodies need no thread and no Flask, and are answered as they are there."""

import gzip
import http.client
import json
import re
import socket
import struct
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import requests
from structlog.testing import capture_logs

from tests.support.fake_model import FakeModel, table_answer
from tests.support.waiting import eventually_sync
from tests.support.worker_http import serving
from tfleet.contract.address import Address
from tfleet.contract.cors import CORS_OFF, Cors
from tfleet.discovery.instance import Instance
from tfleet.worker.api.direct_routes import path_of
from tfleet.worker.api.oip_routes import INFER_RULES
from tfleet.worker.api.tfs_routes import ACTION_RULES
from tfleet.worker.inference.batch_callers import OverdueError
from tfleet.worker.inference.class_scores import ClassScores
from tfleet.worker.inference.errors import BadInputError, OversizedRunError
from tfleet.worker.lifecycle import Lifecycle
from tfleet.worker.rejection import Rejection
from tfleet.worker.wsgi.admission_queue import QueueLimits
from tfleet.worker.wsgi.direct import MOST_BYTES

pytestmark = pytest.mark.process

JSON = {"Content-Type": "application/json"}
ROW = b'{"G1": 1, "G2": 5}'
VARIES = {"Date", "X-Request-Id", "Server-Timing"}
REQUESTS, REJECTED = "tfleet_worker_requests_total", "tfleet_worker_rejected_total"
LABELS = ClassScores(("bad", "good"), "sigmoid", two_of_one=True)


@dataclass(frozen=True)
class Ask:
    """A request, and whether it is read without a thread."""

    body: bytes = ROW
    path: str = "/predict"
    headers: Mapping[str, str] = field(default_factory=dict)
    direct: bool = True


ASKED = {
    "a row": Ask(),
    "rows": Ask(b'[{"G1": 1, "G2": 5}, {"G2": 0, "G1": 2}]'),
    "columns": Ask(b'{"G1": [1, 2], "G2": [5, 0]}'),
    "no media type": Ask(headers={"Content-Type": ""}),
    "as curl sends it": Ask(headers={"Content-Type": "application/x-www-form-urlencoded"}),
    "of a named model": Ask(path="/models/wine/predict"),
    "of a version": Ask(path="/models/wine/versions/1"),
    "another signature": Ask(b'{"x": 4}', "/predict?signature=double"),
    "an id": Ask(headers={"X-Request-Id": "mine"}),
    "a deadline": Ask(headers={"X-Request-Timeout-Ms": "60000"}),
    "a web page": Ask(headers={"Origin": "https://page.example"}),
    "a ticket": Ask(path="/predict?ticket=a&ticket=b"),
    "accept npy": Ask(headers={"Accept": "application/x-npy"}),
    "accept csv": Ask(headers={"Accept": "text/csv, application/json;q=0.5"}),
    "accept html": Ask(headers={"Accept": "text/html"}, direct=False),
    "a column missing": Ask(b'{"G1": 1}', direct=False),
    "null": Ask(b'{"G1": null, "G2": 1}', direct=False),
    "no JSON": Ask(b"{G1: 1}", direct=False),
    "a key twice": Ask(b'{"G1": 1, "G1": 1, "G2": 1}', direct=False),
    "no body": Ask(b"", direct=False),
    "rejected by the model": Ask(b'{"G1": -1, "G2": 0}'),
    "compressed": Ask(headers={"Content-Encoding": "gzip"}, direct=False),
    "an unknown parameter": Ask(path="/predict?G1=1", direct=False),
    "top of no labels": Ask(path="/predict?top=1", direct=False),
    "no UTF-8 in the query": Ask(path="/predict?top=%FF", direct=False),
    "an unknown signature": Ask(path="/predict?signature=x", direct=False),
    "a signature twice": Ask(path="/predict?signature=a&signature=b", direct=False),
    "another model": Ask(path="/models/beer/predict", direct=False),
    "another spelling": Ask(path="/models/wi%6Ee/predict", direct=False),
    "another worker": Ask(headers={"X-Worker": "w2"}, direct=False),
    "no deadline": Ask(headers={"X-Request-Timeout-Ms": "soon"}, direct=False),
    "another type": Ask(headers={"Content-Type": "text/html"}, direct=False),
    "another character set": Ask(headers={"Content-Type": "application/json; charset=latin-1"}, direct=False),
    "csv": Ask(b"G1,G2\n1,2\n", headers={"Content-Type": "text/csv"}, direct=False),
    "a larger body": Ask(ROW + b" " * MOST_BYTES, direct=False),
    "a long query": Ask(path="/predict?" + "&".join(["a"] * 2000), direct=False),
    "a long accept": Ask(headers={"Accept": ", ".join(["text/html"] * 200)}, direct=False),
    "another path": Ask(path="//predict", direct=False),
    "a host": Ask(path="http://x/predict"),
}


V1 = "/v1/models/wine:predict"
V1_ROW = b'{"instances": [{"G1": 1, "G2": 5}]}'
V2 = "/v2/models/wine/infer"
V2_ROW = json.dumps(
    {
        "id": "7",
        "inputs": [
            {"name": "G1", "datatype": "FP32", "shape": [1], "data": [1]},
            {"name": "G2", "datatype": "FP32", "shape": [1], "data": [5]},
        ],
    }
).encode()
V2_BINARY = V2_ROW.replace(b'"data": [1]', b'"parameters": {"binary_data_size": 4}')
LENGTH = {"Inference-Header-Content-Length": str(len(V2_BINARY))}
V2_OUTPUT = V2_BINARY.replace(
    b'"id"', b'"outputs": [{"name": "score", "parameters": {"binary_data": true}}], "id"'
)
ASKED |= {
    "v1: a row": Ask(V1_ROW, V1),
    "v1: of a version": Ask(V1_ROW, "/v1/models/wine/versions/1:predict"),
    "v1: columns": Ask(b'{"inputs": {"G1": [1, 2], "G2": [5, 0]}}', V1),
    "v1: any media type": Ask(V1_ROW, V1, {"Content-Type": "text/html"}),
    "v1: bytes behind it": Ask(V1_ROW + b"}", V1),
    "v1: a signature": Ask(b'{"inputs": 4, "signature_name": "double"}', V1),
    "v1: gzip wanted": Ask(
        b'{"inputs": {"G1": [%s], "G2": [%s]}}' % ((b"1," * 400 + b"1",) * 2), V1, {"Accept-Encoding": "gzip"}
    ),
    "v1: a web page": Ask(V1_ROW, V1, {"Origin": "https://page.example"}),
    "v1: rejected by the model": Ask(V1_ROW.replace(b": 1", b": -1"), V1),
    "v1: another signature": Ask(b'{"instances": [1], "signature_name": "x"}', V1, direct=False),
    "v1: no JSON": Ask(b"{", V1, direct=False),
    "v1: no body": Ask(b"", V1, direct=False),
    "v1: compressed": Ask(gzip.compress(V1_ROW), V1, {"Content-Encoding": "gzip"}, direct=False),
    "v1: another model": Ask(V1_ROW, "/v1/models/beer:predict", direct=False),
    "v1: another spelling": Ask(V1_ROW, "/V1/Models/wine:predict", direct=False),
    "v1: a label": Ask(V1_ROW, "/v1/models/wine/labels/stable:predict", direct=False),
    "v1: classify": Ask(V1_ROW, "/v1/models/wine:classify", direct=False),
    "v2: a row": Ask(V2_ROW, V2),
    "v2: of a version": Ask(V2_ROW, "/v2/models/wine/versions/1/infer"),
    "v2: binary inputs": Ask(V2_BINARY + struct.pack("<f", 1), V2, LENGTH),
    "v2: a binary output": Ask(
        V2_OUTPUT + struct.pack("<f", 1), V2, {"Inference-Header-Content-Length": str(len(V2_OUTPUT))}
    ),
    "v2: gzip wanted": Ask(V2_ROW.replace(b'"7"', b'"%s"' % (b"7" * 2000)), V2, {"Accept-Encoding": "gzip"}),
    "v2: a raw request": Ask(bytes(8), f"{V2}?signature=double", {"Inference-Header-Content-Length": "0"}),
    "v2: a signature": Ask(V2_ROW, f"{V2}?signature=double", direct=False),
    "v2: rejected by the model": Ask(V2_ROW.replace(b"[1]}", b"[-1]}"), V2),
    "v2: an output that is not there": Ask(V2_OUTPUT.replace(b"score", b"x"), V2, direct=False),
    "v2: a wrong length": Ask(V2_BINARY, V2, LENGTH, direct=False),
    "v2: compressed": Ask(zlib.compress(V2_ROW), V2, {"Content-Encoding": "deflate"}, direct=False),
    "v2: another model": Ask(V2_ROW, "/v2/models/beer/infer", direct=False),
}


@dataclass(frozen=True)
class Answer:
    """What a client sees."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def ask(worker: Address, asked: Ask) -> Answer:
    with closing(http.client.HTTPConnection(worker.host, worker.port, timeout=20)) as connection:
        connection.request("POST", asked.path, asked.body, {**JSON, **asked.headers})
        answer = connection.getresponse()
        return Answer(answer.status, dict(answer.headers), answer.read())


def answers(
    asked: Ask,
    *,
    direct: bool,
    scores: ClassScores | None = None,
    cors: Cors = CORS_OFF,
    prepare: Callable[[FakeModel, Lifecycle], None] = lambda model, lifecycle: None,
) -> tuple[Any, dict[str, Any], int]:
    """What is answered, what is logged, and how many runs had no thread."""
    model = FakeModel(scores=scores)
    serve = serving(model, name="wine", direct=direct, cors=cors)
    with capture_logs() as logged, serve as (worker, lifecycle):
        prepare(model, lifecycle)
        answer = ask(worker, asked)
        page = requests.get(f"{worker.url}/metrics", timeout=20).text
    headers = {name: value for name, value in answer.headers.items() if name not in VARIES}
    timing = re.sub(r"\d+\.\d+", "N", answer.headers.get("Server-Timing", ""))
    counted = [line for line in page.splitlines() if line.startswith((REQUESTS, REJECTED))]
    (line,) = [each for each in logged if each["event"] == "request" and each["method"] == "POST"]
    assert line["request_id"] == answer.headers["X-Request-Id"]
    noted = {name: value for name, value in line.items() if name not in {"ms", "request_id"}}
    return (answer.status, headers, timing, answer.body, counted), noted, model.predictor.submitted


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("scores", [None, LABELS], ids=["outputs", "labels"])
def test_both_ways_answer_alike(name: str, scores: Any) -> None:
    asked, cors = ASKED[name], Cors.parse(["https://page.example"])
    seen, noted, submitted = answers(asked, direct=True, scores=scores, cors=cors)
    wanted = answers(asked, direct=False, scores=scores, cors=cors)
    assert (seen, noted) == wanted[:2]
    assert wanted[2] == 0
    has_labels = scores is not None and name in {"top of no labels"}
    assert submitted == (asked.direct or has_labels)


def fails(error: BaseException) -> Callable[[FakeModel, Lifecycle], None]:
    def prepare(model: FakeModel, _lifecycle: Lifecycle) -> None:
        def answer(_signature: str, _inputs: Any) -> Any:
            raise error

        model.predictor.answer = answer

    return prepare


def complex_numbers(model: FakeModel, _lifecycle: Lifecycle) -> None:
    model.predictor.answer = lambda signature, inputs: {"score": np.ones((1, 1), np.complex64)}


def draining(_model: FakeModel, lifecycle: Lifecycle) -> None:
    lifecycle.drain()


def refusing(_model: FakeModel, lifecycle: Lifecycle) -> None:
    lifecycle.drain()
    lifecycle.refuse()


@pytest.mark.parametrize(
    ("prepare", "status"),
    [
        (draining, 200),
        (refusing, 503),
        (complex_numbers, 406),
        (fails(BadInputError("G1 is below 0")), 400),
        (fails(OversizedRunError("the model needs more memory")), 413),
        (fails(OverdueError()), 504),
        (fails(ValueError("a fault of ours")), 500),
    ],
)
def test_both_ways_fail_alike(prepare: Callable[[FakeModel, Lifecycle], None], status: int) -> None:
    seen, noted, submitted = answers(Ask(), direct=True, prepare=prepare)
    assert (seen, noted) == answers(Ask(), direct=False, prepare=prepare)[:2]
    assert seen[0] == status
    assert submitted == (prepare is not refusing)


def test_a_starting_worker_refuses_alike() -> None:
    found = []
    for direct in (True, False):
        with serving(None, direct=direct) as (worker, _):
            found.append(ask(worker, Ask()))
    assert (found[0].status, found[0].body) == (503, found[1].body)


@pytest.mark.process
def test_a_model_that_exits_fails_one_request() -> None:
    found = []
    for direct in (True, False):
        model = FakeModel()
        fails(SystemExit("a fault of the model's own code"))(model, Lifecycle())
        with serving(model, direct=direct) as (worker, _):
            found.append(ask(worker, Ask()))
            model.predictor.answer = table_answer
            assert ask(worker, Ask()).status == 200
    assert (found[0].status, found[0].body) == (500, found[1].body)


@contextmanager
def held(
    model: FakeModel, count: int, **options: Any
) -> Iterator[tuple[Address, list[socket.socket], ExitStack]]:
    """Clients whose rows have been submitted and wait for the model, and what ends their worker."""
    model.predictor.gate.clear()
    request = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(ROW), ROW)
    with ExitStack() as sockets, ExitStack() as servers:
        servers.callback(model.predictor.gate.set)
        worker, _ = servers.enter_context(serving(model, name="wine", **options))
        clients = []
        for number in range(1, count + 1):
            client = sockets.enter_context(socket.create_connection((worker.host, worker.port), timeout=20))
            client.sendall(request)
            eventually_sync(lambda: model.predictor.submitted, wanted=number.__eq__)
            clients.append(client)
        yield worker, clients, servers


def test_a_full_queue_rejects_a_row_that_needs_no_thread() -> None:
    model = FakeModel()
    with held(model, 3, threads=1, queue_limits=QueueLimits(max_requests=2)) as (worker, clients, _):
        answer = ask(worker, Ask())
        assert answer.status == 429
        assert b"--max-queue" in answer.body
        model.predictor.gate.set()
        assert all(client.recv(1000).startswith(b"HTTP/1.1 200 OK") for client in clients)
        assert ask(worker, Ask()).status == 200
    assert model.predictor.submitted == 4


def test_a_client_that_has_left_is_counted_and_frees_its_place() -> None:
    model, answered = FakeModel(), list[str]()

    def answer(signature: str, inputs: Any) -> Any:
        answered.append(signature)
        return table_answer(signature, inputs)

    model.predictor.answer = answer
    with held(model, 1, threads=1, queue_limits=QueueLimits(max_requests=0)) as (worker, (client,), _):
        assert ask(worker, Ask()).status == 429
        client.close()
        eventually_sync(lambda: model.predictor.left, wanted=True.__eq__)
        model.predictor.gate.set()

        def counted() -> bool:
            page = requests.get(f"{worker.url}/metrics", timeout=20).text
            return f'{REJECTED}{{reason="{Rejection.CLIENT_GONE}"}} 1.0' in page

        eventually_sync(counted, wanted=True.__eq__)
        assert ask(worker, Ask()).status == 200
    assert answered == ["serving_default"], "nothing ran for the client that left"


@pytest.mark.process
def test_the_end_of_a_server_waits_for_rows() -> None:
    model = FakeModel()
    with held(model, 2) as (_, clients, servers):
        opened = threading.Timer(0.3, model.predictor.gate.set)
        opened.start()
        servers.close()
        assert model.predictor.gate.is_set()
        assert all(client.recv(1000).startswith(b"HTTP/1.1 200 OK") for client in clients)
        opened.join()


def test_a_name_with_other_characters_has_its_usual_spelling() -> None:
    instance = Instance("w1", Address("h", 1), "a b", "1")
    assert path_of(INFER_RULES[1], instance) == "/v2/models/a%20b/versions/1/infer"
    assert path_of(ACTION_RULES[0], instance) == "/v1/models/a%20b:predict"
