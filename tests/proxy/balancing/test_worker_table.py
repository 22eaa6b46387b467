import random
from dataclasses import dataclass

import pytest
from structlog.testing import capture_logs

from tfleet.contract.address import Address
from tfleet.discovery.instance import Instance
from tfleet.proxy.balancing.member import Probe, WorkerState
from tfleet.proxy.balancing.queue_report import QueueReport, parse_report
from tfleet.proxy.balancing.worker_table import WorkerTable

ONE, TWO = Instance("w1", Address("h", 1)), Instance("w2", Address("h", 2))


@dataclass(eq=False)
class Waiter:
    """An attempt in flight."""

    worker_since_s: float | None = None
    given_up: bool = False

    def time_out_soon(self) -> None:
        self.given_up = True


def ready(table: WorkerTable, *instances: Instance) -> None:
    """List these workers, and let a probe find them ready."""
    table.apply_instances(instances)
    table.record_probes({instance.id: (Probe.READY, "") for instance in instances})


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_a_worker_that_was_tried_is_not_picked_again() -> None:
    table = WorkerTable()
    ready(table, ONE, TWO)
    assert {table.pick(["w1"]) for _ in range(3)} == {table.pool.members["w2"]}
    assert table.pick(["w1", "w2"]) is None


def test_an_empty_fleet_picks_none() -> None:
    assert WorkerTable().pick() is None


def test_requests_in_flight_are_counted_and_forgotten() -> None:
    table = WorkerTable("least-request", rng=random.Random(1))
    ready(table, ONE, TWO)
    attempts = [Waiter(), Waiter()]
    for one in attempts:
        table.attempt_started("w1", one)
    assert table.in_flight("w1") == 2
    assert table.pick() is table.pool.members["w2"]
    assert repr(table) == "<WorkerTable <Pool routable=2 of 2> in_flight=2>"
    for one in attempts:
        table.attempt_ended("w1", one)
    assert table.in_flight("w1") == 0


def test_a_worker_with_a_queue_is_skipped_for_a_second() -> None:
    clock = Clock()
    table = WorkerTable("least-request", clock=clock, rng=random.Random(1))
    ready(table, ONE, TWO)
    one = table.pool.members["w1"]

    def picked() -> set[str]:
        return {member.id for _ in range(40) if (member := table.pick())}

    table.record_queue_length(one, "3")
    assert picked() == {"w2"}
    table.record_queue_length(one, "no number")
    table.record_queue_length(one, None)
    assert picked() == {"w2"}, "what it said before still holds"
    table.record_queue_length(one, "0")
    assert picked() == {"w1", "w2"}
    table.record_queue_length(one, "3")
    clock.now_s += 1
    assert picked() == {"w1", "w2"}


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_dropped_workers_queue_report_is_forgotten(when: str) -> None:
    table = WorkerTable("least-request", clock=Clock(), rng=random.Random(1))
    ready(table, ONE, TWO)
    one = table.pool.members["w1"]
    if when == "before":
        table.record_queue_length(one, "3")
    table.apply_instances([TWO])
    table.record_failure(one, "refused")
    if when == "after":
        table.record_queue_length(one, "3")
    ready(table, ONE, TWO)
    assert table.load("w1", 0.0) == 0


def test_probes_are_due_by_the_clock() -> None:
    clock = Clock()
    table = WorkerTable(clock=clock, rng=random.Random(1))
    ready(table, ONE)
    assert table.next_probe_in_s() is None
    table.record_failure(table.pool.members["w1"], "refused")
    wait_s = table.next_probe_in_s()
    assert wait_s is not None
    assert 0 < wait_s <= 1
    assert table.probes_due() == ()
    clock.now_s += 1
    assert [m.id for m in table.probes_due()] == ["w1"]
    assert table.next_probe_in_s() == 0


def test_every_change_wakes_the_prober() -> None:
    table = WorkerTable()
    ready(table, ONE)
    assert table.pool_changed.is_set()
    table.pool_changed.clear()
    table.record_not_ready(table.pool.members["w1"], "answers 503")
    assert table.pool_changed.is_set()
    assert table.pick() is None


def test_a_silent_worker_with_requests_is_suspect() -> None:
    """Until it answers."""
    clock = Clock()
    table = WorkerTable(clock=clock)
    ready(table, ONE, TWO)
    one, waiter = table.pool.members["w1"], Waiter(worker_since_s=clock.now_s)
    table.attempt_started("w1", waiter)
    assert table.suspects() == ()
    clock.now_s += 2
    assert table.suspects() == (one,)
    table.record_response(one, 200)
    assert table.suspects() == ()
    clock.now_s += 2
    waiter.worker_since_s = None
    assert table.suspects() == (), "it is the client who keeps it waiting"
    waiter.worker_since_s = 0.0
    assert table.suspects() == (one,)
    table.attempt_ended("w1", waiter)
    assert table.suspects() == ()


def test_no_request_waits_for_an_unreached_worker() -> None:
    table = WorkerTable(rng=random.Random(1))
    ready(table, ONE, TWO)
    lost, other = Waiter(), Waiter()
    table.attempt_started("w1", lost)
    table.attempt_started("w2", other)
    table.record_probes({"w1": (Probe.UNREACHABLE, "no answer")})
    assert (lost.given_up, other.given_up) == (True, False)
    assert table.pick() is table.pool.members["w2"]


def test_a_new_worker_weighs_less_during_slow_start() -> None:
    clock = Clock()
    table = WorkerTable(slow_start_s=10.0, clock=clock, rng=random.Random(1))
    ready(table, ONE)
    clock.now_s = 60.0
    table.apply_instances([ONE, TWO])
    assert table.weight(table.pool.members["w2"]) == 0.0
    table.record_probes({"w2": (Probe.READY, "")})
    weights = []
    for clock.now_s in (60.0, 65.0, 70.0):
        weights.append(table.weight(table.pool.members["w2"]))
        assert table.weight(table.pool.members["w1"]) == 1.0
    assert weights == [0.1, 0.5, 1.0]


def test_without_slow_start_a_newcomer_has_its_share_at_once() -> None:
    clock = Clock()
    table = WorkerTable(slow_start_s=0.0, clock=clock)
    ready(table, ONE)
    clock.now_s = 60.0
    ready(table, ONE, TWO)
    assert [member.id for _ in range(2) if (member := table.pick())] == ["w1", "w2"]


@pytest.mark.parametrize("answers", [("500", "drop"), ("drop", "500")], ids=["before", "after"])
def test_a_dropped_workers_answers_are_forgotten(answers: tuple[str, ...]) -> None:
    table = WorkerTable(rng=random.Random(1))
    ready(table, ONE, TWO)
    one = table.pool.members["w1"]
    for what in answers:
        if what == "drop":
            table.apply_instances([TWO])
            table.record_failure(one, "refused")
        else:
            for _ in range(4):
                table.record_response(one, 500)
    ready(table, ONE, TWO)
    table.record_response(one, 500)
    assert table.pool.members["w1"] in table.pool.routable


def test_a_change_of_thousands_is_logged_as_one_line() -> None:
    table = WorkerTable(rng=random.Random(1))
    with capture_logs() as lines:
        ready(table, ONE, TWO)
        for _ in range(3):
            table.record_failure(table.pool.members["w1"], "refused")
        table.apply_instances([])
        table.record_probes({"w2": (Probe.UNREACHABLE, "no answer")})
    told = [(line["event"], line["worker"], line.get("error")) for line in lines]
    assert told == [
        ("worker starting", "w1", None),
        ("worker starting", "w2", None),
        ("worker ready", "w1", None),
        ("worker ready", "w2", None),
        ("worker ejected", "w1", "refused"),
        ("worker dropped", "w2", "no answer"),
    ]
    with capture_logs() as lines:
        table.apply_instances(Instance(f"ghost{n}", Address("h", 1)) for n in range(3000))
    (line,) = lines
    assert line == {
        "event": "many workers changed",
        "change": "worker starting",
        "workers": 3000,
        "log_level": "info",
    }


def test_a_worker_back_as_a_last_resort_is_logged() -> None:
    table = WorkerTable(rng=random.Random(1))
    ready(table, ONE, TWO)
    one, two = table.pool.members.values()
    for _ in range(5):
        table.record_response(one, 500)
    assert table.pick() == two
    with capture_logs() as lines:
        table.record_failure(two, "refused")
    assert {(line["event"], line["worker"]) for line in lines} == {
        ("worker ejected", "w2"),
        ("worker ready", "w1"),
    }


def test_with_all_late_requests_go_to_an_untried_worker() -> None:
    table = WorkerTable(rng=random.Random(1))
    ready(table, ONE, TWO)
    table.record_failure(table.pool.members["w1"], "makes no progress", late=True)
    assert {member.id for _ in range(9) if (member := table.pick())} == {"w2"}, "while somebody is well"
    table.record_failure(table.pool.members["w2"], "makes no progress", late=True)
    assert {member.id for _ in range(20) if (member := table.pick())} == {"w1", "w2"}
    assert table.has_other(["w1"])
    assert (chosen := table.pick(["w1"])) is not None
    assert chosen.id == "w2"
    assert not table.has_other(["w1", "w2"])
    assert table.pick(["w1", "w2"]) is None


def test_a_worker_silent_until_deadlines_is_probed() -> None:
    clock = Clock()
    table = WorkerTable(clock=clock)
    ready(table, ONE, TWO)
    one, two = table.pool.members["w1"], table.pool.members["w2"]
    clock.now_s = 10.0
    table.record_response(two, 200)
    for member in (one, two):
        table.attempt_abandoned(member.id, Waiter(worker_since_s=None))
        table.attempt_abandoned(member.id, Waiter(worker_since_s=9.9))
    assert table.suspects() == (one,), "the other one was heard a moment ago"
    table.record_probes({"w1": (Probe.READY, "")})
    assert table.suspects() == ()


def test_a_probe_that_began_before_a_doubt_does_not_settle_it() -> None:
    clock = Clock()
    table = WorkerTable(clock=clock)
    ready(table, ONE, TWO)
    one = table.pool.members["w1"]
    asked_s = table.now_s()
    clock.now_s = 0.5
    table.record_stall(one, b"a body", "makes no progress")
    table.record_probes({"w1": (Probe.READY, "")}, asked_s)
    assert table.suspects() == (one,)
    table.record_probes({"w1": (Probe.READY, "")}, 0.5)
    assert table.suspects() == ()


def test_an_earlier_probe_does_not_undo_an_ejection() -> None:
    clock = Clock()
    table = WorkerTable(clock=clock, rng=random.Random(1))
    ready(table, ONE, TWO)
    clock.now_s = 0.5
    for body in "abc":
        table.record_stall(table.pool.members["w1"], body, "makes no progress")
    table.record_probes({"w1": (Probe.READY, "")}, 0.4)
    out = table.pool.members["w1"]
    assert out.state is WorkerState.EJECTED
    assert out.last_error == "makes no progress, for 3 different bodies in a row"
    clock.now_s = out.probe_at_s
    table.record_probes({"w1": (Probe.READY, "")}, clock.now_s)
    assert table.pool.members["w1"].state is WorkerState.READY
    table.record_stall(table.pool.members["w1"], "d", "makes no progress")
    assert table.pool.members["w1"].state is WorkerState.READY, "the count has begun anew"


@pytest.mark.parametrize(
    ("status", "state"), [(200, WorkerState.READY), (429, WorkerState.EJECTED), (503, WorkerState.EJECTED)]
)
def test_answers_without_inference_do_not_count_as_served(status: int, state: WorkerState) -> None:
    table = WorkerTable(rng=random.Random(1))
    ready(table, ONE, TWO)
    one = table.pool.members["w1"]
    for body in "abc":
        table.record_stall(one, body, "makes no progress")
        table.record_response(one, status)
    assert table.pool.members["w1"].state is state


def test_bodies_count_only_against_a_worker_that_gets_requests() -> None:
    """The others were under way when it became known."""
    table = WorkerTable(rng=random.Random(1))
    ready(table, ONE, TWO)
    one = table.pool.members["w1"]
    table.record_failure(one, "refused")
    for body in "abc":
        table.record_stall(one, body, "makes no progress")
    assert table.suspects() == ()
    table.record_probes({"w1": (Probe.READY, "")})
    table.record_stall(one, "d", "makes no progress")
    assert table.pool.members["w1"].state is WorkerState.READY
    assert table.is_draining("w1") is False


def test_expired_deadlines_eject_no_worker() -> None:
    """A slow image that is sent again and again with little time is not the worker's failure."""
    table = WorkerTable(rng=random.Random(1))
    ready(table, ONE, TWO)
    one = table.pool.members["w1"]
    for status in (500, 500, 504, 504, 504, 504, 504, 504, 500, 500):
        table.record_response(one, status)
    assert [member.id for member in table.pool.routable] == ["w1", "w2"]
    table.record_response(one, 500)
    assert [member.id for member in table.pool.routable] == ["w2"]


@pytest.mark.parametrize(
    ("in_flight", "length", "age_s", "load"),
    [
        (0, 7, 0.0, 7),
        (3, 7, 0.5, 7),
        (9, 7, 0.0, 9),
        (3, 0, 0.0, 3),
        (3, 7, 0.999, 7),
        (3, 7, 1.0, 3),
        (0, 7, 60.0, 0),
    ],
)
def test_the_load_is_the_larger_of_in_flight_and_reported(
    in_flight: int, length: int, age_s: float, load: int
) -> None:
    """A report counts for a second."""
    assert QueueReport(length, at_s=100.0).load(in_flight, 100.0 + age_s) == load


def test_a_report_is_a_plain_number() -> None:
    assert parse_report("12", 5.0) == QueueReport(12, 5.0)


@pytest.mark.parametrize(
    "text", [None, "", "-1", "+1", "1.5", "1e3", " 1", "1, 2", "many", "\u0663", "9" * 16]
)
def test_an_invalid_queue_report_is_ignored(text: str | None) -> None:
    assert parse_report(text, 5.0) is None
