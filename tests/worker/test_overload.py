"""A real worker with a real session that is sent more than it can take."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from tests.support.graphs import write_model
from tests.support.pictures import COLOURS, picture
from tests.support.waiting import eventually_sync
from tests.support.worker_process import Worker, worker_process

pytestmark = pytest.mark.process

CLIENTS, IMAGES = 16, 25
THREADS, PLACES = 2, 2
PICTURES = {colour: picture(colour) for colour in COLOURS}
MORE = "tfleet_worker_rejected_total"


def flood(url: str, number: int) -> int:
    """Send images on one connection, as fast as they are answered; how many were sent away."""
    away = 0
    with requests.Session() as session:
        for image in range(IMAGES):
            colour = COLOURS[(number + image) % len(COLOURS)]
            answer = session.post(url, files={"data": PICTURES[colour]}, timeout=30)
            if answer.status_code == 429:
                assert answer.headers["Retry-After"] == "1"
                assert int(answer.headers["X-Queue-Length"]) <= THREADS + PLACES
                away += 1
            else:
                assert answer.json()[0][0] == colour, answer.text
    return away


def metrics(worker: Worker) -> dict[str, float]:
    text = requests.get(f"{worker.address().url}/metrics", timeout=10).text
    lines = [line.split() for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines}


def test_a_flood_gets_own_answers_or_429(tmp_path: Path) -> None:
    """Afterwards all is as before."""
    model = write_model(tmp_path / "colours" / "1")
    limits = ("--threads", str(THREADS), "--max-queue", str(PLACES))
    with worker_process("--model", str(model), "--registry", "static:", *limits) as worker:
        worker.wait_for("worker ready")
        url = worker.address().url
        with ThreadPoolExecutor(CLIENTS) as pool:
            clients = [pool.submit(flood, url, number) for number in range(CLIENTS)]
            for queue in ("tfleet_worker_queue_requests", "tfleet_worker_queue_bytes"):
                eventually_sync(lambda: metrics(worker)[queue], timeout_s=60)  # noqa: B023 - called in this turn
            away = sum(client.result() for client in clients)
        assert 0 < away < CLIENTS * IMAGES
        found = eventually_sync(
            lambda: metrics(worker), wanted=lambda now: now["tfleet_worker_in_flight"] == 1
        )
        assert found[f'{MORE}{{reason="queue-requests"}}'] == away
        assert found[f'{MORE}{{reason="queue-bytes"}}'] == 0
        assert found["tfleet_worker_queue_requests"] == found["tfleet_worker_queue_bytes"] == 0
        busy_s = "tfleet_worker_busy_seconds_total"
        assert metrics(worker)[busy_s] == found[busy_s] > 0, "it is idle now, and was not"
        assert flood(url, 0) == 0
        assert len(worker.events("request")) == (CLIENTS + 1) * IMAGES, "one line each"
