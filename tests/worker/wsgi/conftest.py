"""Servers whose application answers when it may, ended after each test with nothing left in their queues."""

from collections.abc import Iterator

import pytest

from tests.worker.wsgi.busy_server import EMPTY, THREADS, Gated, Make, Scene
from tfleet.worker.wsgi.admission_queue import QueueLimits
from tfleet.worker.wsgi.context import CheckTicket


@pytest.fixture
def app() -> Iterator[Gated]:
    app = Gated()
    yield app
    app.gate.set()


@pytest.fixture
def make(app: Gated) -> Iterator[Make]:
    made: list[Scene] = []

    def start(
        threads: int = THREADS,
        max_requests: int = 2,
        max_bytes: int = 100,
        check_ticket: CheckTicket | None = None,
    ) -> Scene:
        made.append(Scene(app, threads, QueueLimits(max_requests, max_bytes, kept_for_small=0), check_ticket))
        return made[-1]

    yield start
    app.gate.set()
    for scene in made:
        scene.close()
        assert scene.queue == EMPTY
