"""A worker is ready, and known to anybody, only when the address that it advertises leads to it."""

import signal
from pathlib import Path

import requests

from tests.support.canned_server import nobody
from tests.support.consul_agent import consul_agent
from tests.support.embedded_registry import embedded_registry
from tests.support.fleet_processes import Fleet, registry_process
from tests.support.relay import relay
from tests.support.waiting import eventually_sync
from tests.support.worker_process import Worker
from tfleet.contract.address import Address
from tfleet.discovery.consul.health_json import from_health_entry
from tfleet.discovery.instance import Instance

UNREACHED = "the advertised address can't be reached"


def services(registry: Address) -> list[str]:
    document = requests.get(f"{registry.url}/v1/agent/services", timeout=10).json()
    return [service["Service"] for service in document.values()]


def not_ready_because(address: Address) -> str:
    answer = requests.get(f"{address.url}/readyz", timeout=10)
    assert answer.status_code == 503
    detail: str = answer.json()["detail"]
    return detail


def test_an_address_without_listener_is_logged_and_awaited(
    model: Path,
) -> None:
    listening, advertised = nobody(), nobody()
    with consul_agent() as consul:
        options = ("--model", str(model), "--registry", f"consul://{consul.address}", "--drain-grace", "0")
        with Fleet.forked_workers.worker(
            *options, "--port", str(listening.port), "--advertise", str(advertised)
        ) as worker:
            line = worker.wait_for(UNREACHED)
            assert (line["level"], line["address"]) == ("error", str(advertised))
            assert line["tried_from"] == f"the registry at {consul.address}"
            assert line["error"].endswith("connection refused")
            assert f"listens on {listening}: check --advertise" in line["hint"]
            worker.wait_for("model loaded")
            assert f"can't reach it at {advertised}" in not_ready_because(listening)
            assert (worker.events("worker ready"), "tfleet" in services(consul.address)) == ([], False)
            with relay(listening, port=advertised.port):
                worker.wait_for("registered")
                assert requests.get(f"{listening.url}/readyz", timeout=10).ok
                assert [name for name in services(consul.address) if "tfleet" in name] == ["tfleet"]
                worker.process.send_signal(signal.SIGTERM)
                assert worker.process.wait(30) == 0


def test_another_worker_at_the_address_is_logged_by_id(model: Path) -> None:
    with embedded_registry() as registry:
        with Fleet.forked_workers.worker("--model", str(model), "--registry", "static:") as other:
            answering = other.wait_for("worker starting")
            options = ("--model", str(model), "--registry", f"consul://{registry}")
            with Fleet.forked_workers.worker(*options, "--advertise", answering["address"]) as worker:
                line = worker.wait_for(UNREACHED)
                expected = (
                    f"another server answers there: this is {answering['worker']}, not {line['worker']}"
                )
                assert line["error"] == expected
                worker.process.send_signal(signal.SIGTERM)
                assert worker.process.wait(30) == 0, "it may be stopped while it waits"
        assert services(registry) == [], "the check is gone with the worker"


def test_a_worker_is_tested_once_there_is_a_registry(model: Path) -> None:
    """Without one it is ready."""
    registry = nobody()
    with Fleet.forked_workers.worker("--model", str(model), "--registry", f"consul://{registry}") as worker:
        worker.wait_for("worker ready")
        assert worker.ready()
        assert len(worker.events("the address can't be tested yet")) == 1
        with registry_process(registry):
            worker.wait_for("registered")
            assert order(worker, "worker ready", "address reached", "registered")
            worker.process.kill()


def test_an_unreached_outside_address_is_not_given_out(
    model: Path,
) -> None:
    """It is logged, and given out once it leads to the worker."""
    listening, outside = nobody(), nobody()
    with embedded_registry() as registry:
        options = ("--model", str(model), "--registry", f"consul://{registry}", "--drain-grace", "0")
        with Fleet.forked_workers.worker(
            *options, "--port", str(listening.port), "--advertise-wan", str(outside)
        ) as worker:
            line = worker.wait_for(UNREACHED)
            assert (line["level"], line["kind"], line["address"]) == ("error", "wan", str(outside))
            assert line["tried_from"] == f"the registry at {registry}"
            assert line["error"].endswith("refused")
            assert f"outside clients get {listening}: check --advertise-wan" in line["hint"]
            worker.wait_for("registered")
            assert worker.ready(), "the fleet can do without it"
            assert wan(registry) is None
            with relay(listening, port=outside.port):
                eventually_sync(lambda: wan(registry), wanted=lambda found: found == str(outside))
                worker.process.kill()


def wan(registry: Address) -> str | None:
    """The outside address that the registry has of the only worker."""
    (entry,) = requests.get(f"{registry.url}/v1/health/service/tfleet", timeout=10).json()
    found = from_health_entry(entry)
    assert isinstance(found, Instance)
    return None if found.wan is None else str(found.wan)


def order(worker: Worker, *events: str) -> bool:
    times = [worker.wait_for(event)["timestamp"] for event in events]
    return times == sorted(times)
