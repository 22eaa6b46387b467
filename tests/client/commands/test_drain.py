from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.client.conftest import Command
from tfleet.client.commands.drain import NoSuchWorkerError, find_worker
from tfleet.client.worker_status import WorkerStatus

ONE = WorkerStatus("tfleet-10.0.0.7-80-9f86", "10.0.0.7:80")
TWO = WorkerStatus("tfleet-10.0.0.7-8080-1234", "10.0.0.7:8080")
THREE = WorkerStatus("tfleet-10.0.0.8-80-abcd", "10.0.0.8:80")
STALE = WorkerStatus("tfleet-10.0.0.8-80-0000", "10.0.0.8:80")
STATIC = WorkerStatus("10.0.0.9:80", "10.0.0.9:80")
ALL = (ONE, TWO, THREE, STATIC)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("tfleet-10.0.0.7-80-9f86", ONE),
        ("tfleet-10.0.0.7-80-", ONE),
        ("tfleet-10.0.0.8", THREE),
        ("10.0.0.7:80", ONE),
        ("10.0.0.7:8080", TWO),
        ("10.0.0.9:80", STATIC),
    ],
)
def test_a_worker_is_meant_by_its_id_its_address_or_a_beginning(name: str, meant: WorkerStatus) -> None:
    assert find_worker(ALL, name) is meant


def test_a_whole_id_wins_over_a_beginning() -> None:
    short = WorkerStatus("tfleet-10.0.0.7", "10.0.0.1:1")
    assert find_worker((ONE, TWO, short), "tfleet-10.0.0.7") is short


@pytest.mark.parametrize(
    ("workers", "name", "said"),
    [
        (ALL, "nobody", f"no worker 'nobody': the proxy knows {', '.join(w.id for w in ALL)}"),
        (ALL, "", f"no worker '': the proxy knows {', '.join(w.id for w in ALL)}"),
        (ALL, "10.0.0.7:8", f"no worker '10.0.0.7:8': the proxy knows {', '.join(w.id for w in ALL)}"),
        ((), "x", "no worker 'x': the proxy knows none"),
        (
            ALL,
            "tfleet-10.0.0.7",
            f"'tfleet-10.0.0.7' is the start of the id of 2 workers: {ONE.id}, {TWO.id}",
        ),
        (
            (THREE, STALE),
            "10.0.0.8:80",
            f"'10.0.0.8:80' is the address of 2 workers: {THREE.id}, {STALE.id}",
        ),
    ],
)
def test_an_unknown_id_is_reported_with_the_known_ones(
    workers: tuple[WorkerStatus, ...], name: str, said: str
) -> None:
    with pytest.raises(NoSuchWorkerError) as raised:
        find_worker(workers, name)
    assert str(raised.value) == said


def test_an_error_names_only_some_of_many_workers() -> None:
    many = tuple(WorkerStatus(f"w{number:03}", f"10.0.0.1:{number}") for number in range(100))
    with pytest.raises(NoSuchWorkerError, match=r"w009 and 90 more$"):
        find_worker(many, "x")


if TYPE_CHECKING:
    from tests.client.conftest import Handler, Scripted, ScriptedFleet


@pytest.fixture
def drain() -> Command:
    return Command("drain")


def row(worker_id: str, address: str) -> dict[str, str]:
    return {"id": worker_id, "address": address, "state": "ready"}


def knowing(fleet: ScriptedFleet, **workers: str) -> Scripted:
    """A proxy that knows these workers, at these addresses."""
    rows = [row(worker_id, address) for worker_id, address in workers.items()]
    return fleet.server(otherwise=fleet.workers(*rows))


def leaving(fleet: ScriptedFleet) -> Handler:
    return fleet.text(202, "draining\n", "text/plain")


def test_without_waiting_it_returns_when_the_worker_was_told(fleet: ScriptedFleet, drain: Command) -> None:
    worker = fleet.server(leaving(fleet))
    proxy = knowing(fleet, w1=worker.address, w2="10.0.0.2:80")
    done = drain("w1", "--proxy", proxy.address, "--no-wait")
    assert (done.returncode, done.stdout, done.stderr) == (0, "w1 is draining\n", "")
    assert [(seen.method, seen.path) for seen in worker.seen] == [("POST", "/drain?worker=w1")]
    assert [seen.path for seen in proxy.seen] == ["/workers"]


def test_the_ticket_that_came_with_the_workers_is_shown(fleet: ScriptedFleet, drain: Command) -> None:
    worker = fleet.server(leaving(fleet))
    document = json.dumps({"workers": [row("w1", worker.address)]})
    proxy = fleet.server(otherwise=fleet.text(200, document, "application/json", **{"X-Ticket": "1.a"}))
    assert drain("w1", "--proxy", proxy.address, "--no-wait").returncode == 0
    assert [seen.headers.get("X-Ticket") for seen in worker.seen] == ["1.a"]
    assert [seen.path for seen in proxy.seen] == ["/workers"], "which it gives though none is ready"


def test_a_worker_is_named_by_address_and_shown_as_json(fleet: ScriptedFleet, drain: Command) -> None:
    worker = fleet.server(leaving(fleet))
    done = drain(
        worker.address, "--json", TFLEET_PROXY=knowing(fleet, w1=worker.address).url, TFLEET_WAIT="false"
    )
    document = json.loads(done.stdout)
    assert document.pop("seconds") > 0
    assert document == {"id": "w1", "address": worker.address, "gone": False, "in_flight": None}
    assert done.returncode == 0


def test_a_late_worker_is_reported_with_its_requests(fleet: ScriptedFleet, drain: Command) -> None:
    metrics = fleet.text(200, "tfleet_worker_in_flight 4.0\n", "text/plain")
    worker = fleet.server(leaving(fleet), otherwise=metrics)
    proxy = knowing(fleet, w1=worker.address)
    done = drain("w1", "--proxy", proxy.url, "--wait-timeout", "0.5")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        "w1 is draining, 3 requests in flight",
        "w1 is not gone after 0.5 s, with 3 requests in flight when last asked; it goes on draining",
    ]


def test_an_unknown_worker_is_one_line_with_the_known_ones(fleet: ScriptedFleet, drain: Command) -> None:
    done = drain("w9", "--proxy", knowing(fleet, w1="10.0.0.1:80", w2="10.0.0.2:80").url)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "no worker 'w9': the proxy knows w1, w2\n"


def test_a_worker_that_can_t_be_reached_from_here_is_one_line(
    fleet: ScriptedFleet, drain: Command, nobody: str
) -> None:
    done = drain("w1", "--proxy", knowing(fleet, w1=nobody).url)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"cannot reach w1 at {nobody} from here: connection refused\n"


def test_an_invalid_address_is_reported(fleet: ScriptedFleet, drain: Command) -> None:
    done = drain("w1", "--proxy", knowing(fleet, w1="nonsense").url)
    assert (done.returncode, done.stderr) == (1, "'nonsense' has no port: expected HOST:PORT\n")


def test_a_proxy_that_is_not_there_is_named_with_what_to_do(drain: Command, nobody: str) -> None:
    done = drain("w1", "--proxy", nobody)
    assert done.returncode == 1
    assert done.stderr == (
        f"cannot reach http://{nobody}: connection refused. "
        "Is the fleet up? Start one with `tfleet up`, or name its proxy with --proxy.\n"
    )


def test_wrong_usage_ends_with_2(drain: Command) -> None:
    done = drain()
    assert done.returncode == 2
    assert "Missing argument 'ID'" in done.stderr


def test_help_shows_examples(drain: Command) -> None:
    assert "xargs -n 1 tfleet drain" in drain("--help").stdout
