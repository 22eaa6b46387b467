"""Who is rejected, that nothing is decoded for them, and what is told of it. No model is needed for that."""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import pytest
import requests
from structlog.testing import capture_logs

from tests.support.running_worker import serving
from tests.support.waiting import eventually_sync
from tfleet.contract.address import Address
from tfleet.contract.problem import ProblemError
from tfleet.worker.api.query import check_parameters, query_args, wanted_labels
from tfleet.worker.lifecycle import Lifecycle
from tfleet.worker.rejection import Rejection
from tfleet.worker.wsgi.admission_queue import QueueLimits

pytestmark = pytest.mark.process


class Gated:
    """A classifier whose decoder and session stop while their gates are shut. It notes what was decoded."""

    labels = ("only",)
    scores = SimpleNamespace(probabilities=True)
    predictor = SimpleNamespace(waiting=0)
    batch_sizes = (1, 2, 4)
    concurrent_runs = 1

    def __init__(self) -> None:
        self.decoder, self.session = threading.Event(), threading.Event()
        self.decoded: list[bytes] = []
        self.running = threading.Event()

    @property
    def classifier(self) -> Gated:
        return self

    def prepare(self, image: bytes, *_: Any) -> bytes:
        self.decoded.append(image)
        assert self.decoder.wait(20)
        return image

    def run(self, batch: Sequence[bytes]) -> list[float]:
        self.running.set()
        assert self.session.wait(20)
        return [1.0] * len(batch)

    def top(self, row: float, _: int) -> list[tuple[str, float]]:
        return [("only", row)]

    def open(self) -> None:
        self.decoder.set()
        self.session.set()


class Scene:
    """A worker, and clients in threads of their own."""

    def __init__(
        self, gated: Gated, address: Address, lifecycle: Lifecycle, pool: ThreadPoolExecutor
    ) -> None:
        self.gated = gated
        self.address = address
        self.lifecycle = lifecycle
        self._pool = pool

    def post(self, image: bytes, **headers: str) -> requests.Response:
        headers = {"Content-Type": "image/jpeg", **headers}
        return requests.post(self.address.url, data=image, headers=headers, timeout=20)

    def send(self, image: bytes, **headers: str) -> Future[requests.Response]:
        return self._pool.submit(self.post, image, **headers)

    def hold(self) -> Future[requests.Response]:
        """An image that is being decoded, until the gates open."""
        held = self.send(b"held")
        eventually_sync(lambda: self.gated.decoded)
        return held

    def queue_length(self) -> int:
        return int(requests.get(f"{self.address.url}/worker", timeout=20).headers["X-Queue-Length"])

    def metric(self, name: str) -> float:
        lines = requests.get(f"{self.address.url}/metrics", timeout=20).text.splitlines()
        (line,) = [line for line in lines if line.startswith(f"{name} ")]
        return float(line.split()[1])

    def rejected(self) -> dict[Rejection, float]:
        counts = {
            reason: self.metric(f'tfleet_worker_rejected_total{{reason="{reason}"}}') for reason in Rejection
        }
        return {reason: count for reason, count in counts.items() if count}


@contextlib.contextmanager
def scene(*, threads: int = 1, max_queue: int = 9) -> Iterator[Scene]:
    gated = Gated()
    limits = QueueLimits(max_queue, max_bytes=1000)
    with serving(gated, threads=threads, queue_limits=limits) as (address, lifecycle):
        with ThreadPoolExecutor(8) as pool:
            try:
                yield Scene(gated, address, lifecycle, pool)
            finally:
                gated.open()


@pytest.mark.parametrize(
    ("image", "setting", "reason"),
    [
        (b"late", "--max-queue", Rejection.QUEUE_REQUESTS),
        (bytes(1000), "--max-queue-bytes", Rejection.QUEUE_BYTES),
    ],
)
def test_a_full_queue_is_a_429_document(image: bytes, setting: str, reason: Rejection) -> None:
    max_queue = 1 if reason is Rejection.QUEUE_REQUESTS else 2
    with scene(max_queue=max_queue) as at, capture_logs() as lines:
        held = [at.hold(), at.send(b"waits")]
        eventually_sync(at.queue_length, wanted=(1).__eq__)
        answer = at.post(image, **{"X-Request-Id": "mine"})
        assert answer.status_code == 429
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.headers["Retry-After"] == "1"
        assert answer.headers["X-Request-Id"] == "mine"
        assert (answer.headers["X-Worker"], answer.headers["X-Model"]) == ("w1", "efficientnet-lite0/1")
        assert answer.headers["X-Queue-Length"] == "1"
        assert "Connection" not in answer.headers
        assert answer.json()["detail"].endswith(f"see {setting}")
        assert at.rejected() == {reason: 1}
        at.gated.open()
        assert [one.result().json() for one in held] == [[["only", 1.0]]] * 2
        assert at.gated.decoded == [b"held", b"waits"]
    told = [line["status"] for line in lines if line.get("request_id") == "mine"]
    assert told == [429], "one line"


def test_an_overdue_image_is_not_decoded() -> None:
    with scene() as at:
        held = at.hold()
        overdue = at.send(b"overdue", **{"X-Request-Timeout-Ms": "50"})
        eventually_sync(at.queue_length, wanted=(1).__eq__)
        over_s = time.monotonic() + 0.06
        eventually_sync(lambda: time.monotonic() > over_s)
        at.gated.open()
        assert overdue.result().status_code == 504
        assert held.result().ok
        assert at.gated.decoded == [b"held"]
        assert at.rejected() == {Rejection.DEADLINE: 1}


def test_an_overdue_image_is_not_run_but_counted() -> None:
    with scene() as at:
        overdue = at.send(b"overdue", **{"X-Request-Timeout-Ms": "500"})
        eventually_sync(lambda: at.gated.decoded)
        over_s = time.monotonic() + 0.6
        eventually_sync(lambda: time.monotonic() > over_s)
        at.gated.open()
        assert overdue.result().status_code == 504
        assert not at.gated.running.is_set()
        assert at.rejected() == {Rejection.DEADLINE: 1}


def test_a_gone_clients_image_is_not_decoded_but_logged() -> None:
    with scene() as at, capture_logs() as lines:
        held = at.hold()
        client = http.client.HTTPConnection(at.address.host, at.address.port, timeout=20)
        client.request("POST", "/", b"gone", {"X-Request-Id": "gone", "Content-Type": "image/jpeg"})
        eventually_sync(at.queue_length, wanted=(1).__eq__)
        assert at.metric("tfleet_worker_queue_bytes") == len(b"gone")
        client.close()
        # The bytes are given up when the worker has found out that the client is gone.
        eventually_sync(lambda: at.metric("tfleet_worker_queue_bytes"), wanted=(0.0).__eq__)
        at.gated.open()
        assert held.result().ok
        eventually_sync(at.rejected, wanted={Rejection.CLIENT_GONE: 1}.__eq__)
        assert at.gated.decoded == [b"held"]
    assert [line["status"] for line in lines if line.get("request_id") == "gone"] == [499]


def test_a_draining_worker_says_so_and_not_queue_full() -> None:
    with scene(max_queue=0) as at:
        held = at.hold()
        assert at.post(b"late").status_code == 429
        at.lifecycle.drain()
        at.lifecycle.refuse()
        assert (answer := at.post(b"later")).status_code == 503
        assert answer.headers["Retry-After"] == "0"
        assert at.rejected() == {Rejection.QUEUE_REQUESTS: 1, Rejection.DRAINING: 1}
        at.gated.open()
        assert held.result().ok


def test_a_starting_worker_counts_its_refusals() -> None:
    with serving(None) as (address, lifecycle), ThreadPoolExecutor(1) as pool:
        at = Scene(Gated(), address, lifecycle, pool)
        assert at.post(b"early").status_code == 503
        assert at.rejected() == {Rejection.STARTING: 1}


def test_the_queue_counts_waits_for_thread_and_session() -> None:
    with scene(threads=3) as at:
        at.gated.decoder.set()
        sent = [at.send(b"runs")]
        assert at.gated.running.wait(20)
        assert at.queue_length() == 0
        for count in range(1, 6):
            sent.append(at.send(b"waits"))
            eventually_sync(at.queue_length, wanted=count.__eq__)
        assert at.metric("tfleet_worker_waiting") == 2
        at.gated.open()
        assert {one.result().status_code for one in sent} == {200}
        assert at.queue_length() == 0


def wanted(*query: tuple[str, str], classes: int = 10) -> int:
    asked = query_args(urlencode(query))
    check_parameters(asked, ("top", "ticket"))
    return wanted_labels(asked, classes)


def refusal(*query: tuple[str, str]) -> str:
    with pytest.raises(ProblemError) as refused:
        wanted(*query)
    assert refused.value.problem.status == 400
    assert refused.value.problem.detail.isprintable()
    return refused.value.problem.detail


def test_the_default_is_five_labels_or_all() -> None:
    assert wanted() == 5
    assert wanted(classes=3) == 3


@pytest.mark.parametrize("top", [1, 10])
def test_top_goes_up_to_the_number_of_classes(top: int) -> None:
    assert wanted(("top", str(top))) == top


@pytest.mark.parametrize("asked", ["0", "11", "-1", "1.5", "", "x", "9" * 5000, "1\n2"])
def test_a_top_out_of_range_is_named_with_its_range(asked: str) -> None:
    assert refusal(("top", asked)).startswith(f"?top= is {asked[:20]!r}, not a number from 1 to 10,")


def test_unknown_parameters_are_named() -> None:
    assert "unknown query parameter 'topn':" in refusal(("topn", "1"))
    assert "parameter 'a\\r\\nb':" in refusal(("a\r\nb", "1"), ("top", "2"))
    assert "'a', 'b', 'c' and 2 more:" in refusal(*((name, "") for name in "edcba"))


def test_a_repeated_top_is_refused() -> None:
    assert "2 times" in refusal(("top", "1"), ("top", "1"))


def test_the_ticket_parameter_may_be_repeated() -> None:
    assert wanted(("ticket", "the proxy's"), ("ticket", "a client's"), ("top", "2")) == 2
