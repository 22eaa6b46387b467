"""Memory that large bodies took goes back to the system once no more of them come."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from PIL import Image

from tests.support.graphs import write_model
from tests.support.jpegs import after_start, jpeg, segment
from tests.support.photos import PHOTOS
from tests.support.waiting import eventually_sync
from tests.support.worker_process import Worker, worker_process
from tfleet.worker.memory import LARGE_BYTES, MemoryTrimmer

pytestmark = pytest.mark.process


def test_memory_is_trimmed_once_after_many_large_bodies() -> None:
    given = threading.Semaphore(0)
    keeper = MemoryTrimmer(given.release, quiet_s=0.05)
    for _ in range(5):
        keeper.note(LARGE_BYTES)
    assert given.acquire(timeout=10)
    keeper.note(LARGE_BYTES)
    assert given.acquire(timeout=10), "and again after more of them"
    keeper.close()
    assert not given.acquire(blocking=False)


def test_small_bodies_cause_no_trimming() -> None:
    given = threading.Semaphore(0)
    keeper = MemoryTrimmer(given.release, quiet_s=0.0)
    keeper.note(LARGE_BYTES - 1)
    keeper.close()
    assert "idle" in repr(keeper)
    assert not given.acquire(blocking=False)


def test_closing_does_not_wait_for_a_quiet_moment() -> None:
    given = threading.Semaphore(0)
    keeper = MemoryTrimmer(given.release, quiet_s=1000)
    keeper.note(LARGE_BYTES)
    keeper.close()
    keeper.note(LARGE_BYTES)
    assert "idle" in repr(keeper)


def test_a_worker_is_as_small_as_before_after_large_bodies(tmp_path: Path) -> None:
    """32 of 28 MB, each of which is refused by its header."""
    model = write_model(tmp_path / "colours" / "1")
    junk = after_start(jpeg(Image.new("RGB", (64, 64))), segment(0xFE) * (7 * 1024 * 1024))
    with worker_process("--registry", "static:", "--model", str(model)) as worker:
        worker.wait_for("worker ready")
        _send(worker, PHOTOS["cat"].read_bytes(), 200)
        before = _resident_bytes(worker)
        _send(worker, junk, 400)
        eventually_sync(lambda: _resident_bytes(worker) < 1.1 * before, timeout_s=60)


def _send(worker: Worker, body: bytes, status: int) -> None:
    url = f"{worker.address().url}/"

    def send(_: int) -> int:
        return requests.post(url, data=body, headers={"Content-Type": "image/jpeg"}, timeout=60).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(send, range(32))) <= {status, 429}


def _resident_bytes(worker: Worker) -> int:
    status = Path(f"/proc/{worker.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024
