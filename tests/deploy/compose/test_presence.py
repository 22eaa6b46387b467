from __future__ import annotations

import pytest

from tests.deploy.compose.pretend import container
from tfleet.client.worker_status import WorkerStatus
from tfleet.deploy.compose.container import Container
from tfleet.deploy.compose.readiness import broken, ready_workers, why_not


def worker(number: int, state: str = "ready", last_error: str = "") -> WorkerStatus:
    return WorkerStatus(f"w{number}", f"10.0.0.{number}:8000", state=state, last_error=last_error)


def test_a_running_worker_ready_in_the_proxy_gets_requests() -> None:
    one, starting = container(1), container(3, health="starting")
    others = [container(2, health="unhealthy"), container(4, "paused"), container(5), container(6, "exited")]
    rows = [worker(1), worker(2), worker(3), worker(4), worker(5, "ejected"), worker(9)]
    assert list(ready_workers([one, starting, *others], rows)) == [(one, rows[0]), (starting, rows[2])]


def test_a_stale_entry_at_its_address_does_not_count() -> None:
    rows = [worker(1), WorkerStatus("corpse", "10.0.0.1:8000", state="ejected")]
    assert list(ready_workers([container(1)], rows)) == [(container(1), rows[0])]
    assert list(ready_workers([container(1)], rows[1:])) == []


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (None, "it is gone"),
        (container(1, "exited", exit_code=2), "it is exited, with exit code 2"),
        (container(1, health="unhealthy"), "it is unhealthy: see `docker inspect`"),
        (container(1), "the proxy has it as ejected: connection refused"),
        (container(2), "the proxy has it as starting"),
        (container(3), "the proxy does not know it yet"),
    ],
)
def test_why_one_gets_none(one: Container | None, reason: str) -> None:
    rows = [
        worker(1, "draining"),
        worker(1, "ejected", "connection refused"),
        worker(2, "starting"),
        WorkerStatus("w7", "nonsense"),
    ]
    assert why_not(one, rows) == reason


def test_a_restarted_container_counts_as_broken() -> None:
    assert not broken(container(1))
    assert not broken(container(1, "paused"))
    for one in (
        None,
        container(1, "exited"),
        container(1, restarts=1),
        container(1, "restarting", restarts=1),
    ):
        assert broken(one)
