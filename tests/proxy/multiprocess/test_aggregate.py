import time

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from tfleet.contract.address import Address
from tfleet.discovery.instance import Instance
from tfleet.proxy.admin.workers import WorkerRow
from tfleet.proxy.balancing.member import WorkerState
from tfleet.proxy.multiprocess.aggregate import counters_to_keep, merge, sum_up
from tfleet.proxy.telemetry.metrics import exposition
from tfleet.proxy.telemetry.request_stats import RequestStats


def tally(*answers: tuple[str, int, float]) -> list[Metric]:
    found = RequestStats()
    for answer in answers:
        found.answered(*answer)
    found.received_bytes = 10 * len(answers)
    return list(found.collect())


def gauges(**values: float) -> list[Metric]:
    return [GaugeMetricFamily(name, "a gauge", value) for name, value in values.items()]


def figures(families: tuple[Metric, ...]) -> dict[str, float]:
    lines = exposition(families).decode().splitlines()
    return {
        name: float(value) for name, value in (one.rsplit(" ", 1) for one in lines if not one.startswith("#"))
    }


def row(state: WorkerState = WorkerState.READY, *, name: str = "w1", **more: float) -> WorkerRow:
    return WorkerRow(
        instance=Instance(name, Address("127.0.0.1", 1)),
        state=state,
        weight=more.get("weight", 1.0),
        listed=bool(more.get("listed", True)),
        in_flight=int(more.get("in_flight", 0)),
        failures=int(more.get("failures", 0)),
        last_error=f"it is {state}",
    )


def test_sums_equal_those_of_a_single_process() -> None:
    one = (("/", 200, 0.0625), ("/", 200, 0.25))
    other = (("/", 200, 0.0625), ("/", 503, 3.0), ("/worker", 200, 0.0))
    assert exposition(sum_up([tally(*one), tally(*other)])) == exposition(tally(*one, *other))


def test_shared_gauges_are_not_added_up() -> None:
    one = gauges(tfleet_registry_last_sync_seconds=2, process_start_time_seconds=100, tfleet_proxy_tasks=3)
    other = gauges(tfleet_registry_last_sync_seconds=31, process_start_time_seconds=90, tfleet_proxy_tasks=4)
    assert figures(sum_up([one, other])) == {
        "tfleet_registry_last_sync_seconds": 31,
        "process_start_time_seconds": 90,
        "tfleet_proxy_tasks": 7,
    }


def test_labels_match_in_any_order() -> None:
    def families(**labels: str) -> list[Metric]:
        registry = CollectorRegistry()
        Counter("tries", "tries", sorted(labels), registry=registry).labels(**labels).inc()
        return list(registry.collect())

    found = figures(sum_up([families(a="1", b="2"), families(b="2", a="1"), families(a="1", b="3")]))
    created = {name for name in found if "created" in name}
    assert {name: value for name, value in found.items() if name not in created} == {
        'tries_total{a="1",b="2"}': 2,
        'tries_total{a="1",b="3"}': 1,
    }
    assert all(found[name] <= time.time() for name in created), "a time, and no sum of times"


def test_counters_of_an_ended_listener_are_kept() -> None:
    registry = CollectorRegistry()
    Counter("requests", "a counter", registry=registry).inc(3)
    Gauge("in_flight", "a gauge", registry=registry).set(2)
    gone = counters_to_keep(registry.collect())
    assert figures(sum_up([gone, registry.collect()]))["requests_total"] == 6
    assert figures(sum_up([gone, registry.collect()]))["in_flight"] == 2
    assert figures(sum_up([counters_to_keep(sum_up([gone, gone]))]))["requests_total"] == 6


def test_adding_up_does_not_change_the_parts() -> None:
    one = tally(("/", 200, 0.1))
    before = exposition(one)
    sum_up([one, one])
    assert exposition(one) == before


def test_a_worker_has_its_worst_state_of_all_listeners() -> None:
    well, ejected = (
        row(in_flight=3, failures=1),
        row(WorkerState.EJECTED, weight=0.0, listed=False, failures=4),
    )
    for rows in ([[well], [ejected]], [[ejected], [well]]):
        (found,) = merge(rows)
        assert (found.state, found.last_error) == (WorkerState.EJECTED, "it is ejected")
        assert (found.weight, found.listed, found.in_flight, found.failures) == (0.5, True, 3, 4)


def test_a_worker_that_one_listener_knows_is_shown() -> None:
    found = merge([[row(name="w1", in_flight=1)], [row(name="w2"), row(name="w1", in_flight=2)]])
    assert [(one.instance.id, one.in_flight) for one in found] == [("w1", 3), ("w2", 0)]
