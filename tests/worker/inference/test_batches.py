"""Images that come at once ride in one batch; their answers are what they would be alone."""

import io
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
import tensorflow as tf
from PIL import Image, ImageOps

from tests.support.running_worker import load, serving
from tests.support.waiting import eventually_sync
from tfleet.contract.address import Address
from tfleet.worker.inference import Classifier

pytestmark = pytest.mark.process


PHOTOS = [path.read_bytes() for path in sorted(Path("tests/data").glob("*.jpg"))]


def mirrored(photo: bytes) -> bytes:
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(photo)) as image:
        ImageOps.mirror(image).save(buffer, "PNG")
    return buffer.getvalue()


EIGHT = [*PHOTOS, *map(mirrored, PHOTOS)]


class GatedSession(tf.compat.v1.Session):  # type: ignore[misc] # TensorFlow has no types
    """A real session that stops in each run while its gate is shut."""

    gate = threading.Event()
    running = threading.Semaphore(0)

    def run(self, *args: Any, **options: Any) -> Any:
        self.running.release()
        assert self.gate.wait(30)
        return super().run(*args, **options)


@pytest.fixture(scope="module")
def gated() -> Iterator[Classifier]:
    GatedSession.gate.set()
    classifier = load(GatedSession)
    yield classifier
    classifier.close()


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    while GatedSession.running.acquire(blocking=False):
        pass
    yield GatedSession.gate
    GatedSession.gate.set()


def classify(worker: Address, photo: bytes, **headers: str) -> requests.Response:
    return requests.post(f"{worker.url}/predict?top=1000", files={"data": photo}, headers=headers, timeout=60)


def probabilities(answer: requests.Response) -> dict[str, float]:
    return {row["label"]: row["probability"] for row in answer.json()["predictions"]}


Send = Callable[..., Future[requests.Response]]


@pytest.fixture
def held(gated: Classifier, gate: threading.Event) -> Iterator[tuple[Address, Send]]:
    """A worker each lane of which is busy with an image until the gate opens, and a way to send it more."""
    with serving(gated, threads=16) as (worker, _), ThreadPoolExecutor(16) as pool:
        gate.clear()
        first = [pool.submit(classify, worker, PHOTOS[0]) for _ in range(gated.concurrent_runs)]
        for _ in first:
            assert GatedSession.running.acquire(timeout=30)
        try:
            yield worker, lambda photo, **headers: pool.submit(classify, worker, photo, **headers)
        finally:
            gate.set()
            assert [one.result(60).headers["X-Batch-Size"] for one in first] == ["1"] * gated.concurrent_runs


@pytest.mark.parametrize("images", [EIGHT[3:5], PHOTOS, EIGHT], ids=len)
def test_an_image_in_a_batch_gets_the_answer_that_it_gets_alone(
    held: tuple[Address, Send], gate: threading.Event, classifier: Classifier, images: list[bytes]
) -> None:
    worker, send = held
    together = [send(image) for image in images]
    eventually_sync(lambda: waiting(worker), wanted=len(images).__eq__)
    gate.set()
    with serving(classifier) as (quiet, _):
        for image, answer in zip(images, together, strict=True):
            assert answer.result(60).headers["X-Batch-Size"] == str(len(images))
            alone = classify(quiet, image)
            assert alone.headers["X-Batch-Size"] == "1"
            assert probabilities(answer.result()) == pytest.approx(probabilities(alone), abs=1e-4)


def waiting(worker: Address) -> int:
    """How many images wait for the session."""
    lines = requests.get(f"{worker.url}/metrics", timeout=30).text.splitlines()
    (line,) = [line for line in lines if line.startswith("tfleet_worker_waiting ")]
    return int(float(line.split()[1]))


def test_an_overdue_image_is_504_at_its_turn(held: tuple[Address, Send], gate: threading.Event) -> None:
    worker, send = held
    over_s = time.monotonic() + 0.5
    overdue = send(PHOTOS[1], **{"X-Request-Timeout-Ms": "500"})
    eventually_sync(lambda: waiting(worker), wanted=(1).__eq__)
    eventually_sync(lambda: time.monotonic() > over_s + 0.1)
    gate.set()
    answer = overdue.result(60)
    assert answer.status_code == 504
    assert "the model did not run for it" in answer.json()["detail"]


@pytest.mark.parametrize("asked", ["soon", "0", "-5", "1.5"])
def test_an_invalid_deadline_is_refused(worker: Address, asked: str) -> None:
    answer = classify(worker, PHOTOS[0], **{"X-Request-Timeout-Ms": asked})
    assert answer.status_code == 400
    assert "X-Request-Timeout-Ms" in answer.json()["detail"]
