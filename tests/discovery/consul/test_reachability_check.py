import json
import socket
import uuid
from typing import Any

import pytest
import requests
from aiohttp import web
from aiohttp.typedefs import Handler

from tests.support.canned_server import canned, http, nobody
from tests.support.embedded_registry import embedded_registry
from tests.support.waiting import eventually_sync
from tfleet.contract.address import Address
from tfleet.discovery.consul.reachability_check import ConsulAddressCheck, Finding, parse_output
from tfleet.discovery.errors import RegistryRefusedError, RegistryUnavailableError
from tfleet.discovery.instance import Instance


def worker_at(address: Address) -> Instance:
    return Instance(f"w-{uuid.uuid4().hex[:8]}", address)


@pytest.fixture
def check(server: Address) -> ConsulAddressCheck:
    return ConsulAddressCheck(server, "tfleet")


def found(check: ConsulAddressCheck, worker: Instance) -> Finding:
    """What the registry finds, with everything cleaned up after it."""
    name = check.begin(worker)
    finding = eventually_sync(lambda: check.finding(name))
    assert finding is not None
    check.end(name)
    return finding


def services(registry: Address) -> list[str]:
    document: dict[str, dict[str, str]] = requests.get(f"{registry.url}/v1/agent/services", timeout=10).json()
    return [service["Service"] for service in document.values()]


def test_a_worker_that_answers_with_its_id_is_reached(check: ConsulAddressCheck) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        worker = worker_at(Address(*free.getsockname()))
    with canned(http("200 OK", f"{worker.id}\n".encode())) as address:
        assert found(check, Instance(worker.id, address)) == Finding(True)


def test_without_a_listener_the_registry_says_so(check: ConsulAddressCheck) -> None:
    finding = found(check, worker_at(nobody()))
    assert not finding.reached
    assert finding.error.endswith("connection refused")


def test_the_embedded_registry_tries_no_other_machine() -> None:
    with embedded_registry() as registry:
        finding = found(ConsulAddressCheck(registry, "tfleet"), worker_at(Address("203.0.113.7", 80)))
    assert finding == Finding(
        False,
        "the registry checks only the address that registered it, 127.0.0.1, and not 203.0.113.7 "
        "(behind a NAT: --no-self-test)",
    )


def test_another_worker_at_the_address_is_named(check: ConsulAddressCheck) -> None:
    body = json.dumps({"status": 421, "detail": "this is w2, not w1"}).encode()
    with canned(http("421 Misdirected Request", body)) as address:
        finding = found(check, worker_at(address))
    assert finding == Finding(False, "another server answers there: this is w2, not w1")


def test_other_servers_are_not_taken_for_this_worker(check: ConsulAddressCheck) -> None:
    with canned(http("200 OK", b"<html>\nIt works!</html>\n")) as address:
        finding = found(check, worker_at(address))
    assert finding == Finding(False, "another server answers there: 200 OK <html> It works!</html>")


def test_the_address_is_asked_for_this_worker_and_no_other(
    server: Address, check: ConsulAddressCheck
) -> None:
    worker = worker_at(nobody())
    name = check.begin(worker)
    eventually_sync(lambda: check.finding(name))
    checks = requests.get(f"{server.url}/v1/agent/checks", timeout=10).json()
    assert f"{worker.address.url}/healthz?worker={worker.id}" in checks[f"service:{name}"]["Output"]
    check.end(name)


def test_a_killed_workers_check_is_removed_by_the_registry() -> None:
    registered: list[dict[str, Any]] = []

    @web.middleware
    async def witness(request: web.Request, handler: Handler) -> web.StreamResponse:
        registered.append(await request.json())
        return await handler(request)

    with embedded_registry(witness) as registry:
        ConsulAddressCheck(registry, "tfleet").begin(worker_at(nobody()))
    assert registered[0]["checks"][0]["DeregisterCriticalServiceAfter"] == "1m"


def test_a_check_is_removed_and_never_listed_as_a_worker(server: Address, check: ConsulAddressCheck) -> None:
    name = check.begin(worker_at(nobody()))
    assert "tfleet-self-test" in services(server)
    assert "tfleet" not in services(server)
    check.end(name)
    check.end(name)
    assert "tfleet-self-test" not in services(server)


def test_before_the_first_run_nothing_is_found(check: ConsulAddressCheck) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        name = check.begin(worker_at(Address(*silent.getsockname())))
        assert check.finding(name) is None
        check.end(name)


def test_a_check_that_the_registry_lost_is_an_outage(server: Address, check: ConsulAddressCheck) -> None:
    name = check.begin(worker_at(nobody()))
    requests.put(f"{server.url}/v1/agent/service/deregister/{name}", timeout=10).raise_for_status()
    with pytest.raises(RegistryUnavailableError, match="has lost the check"):
        check.finding(name)


def test_a_registry_that_takes_no_such_checks_refuses(nowhere: Instance) -> None:
    with canned(http("403 Forbidden", b"Permission denied")) as registry:
        with pytest.raises(RegistryRefusedError, match="Permission denied"):
            ConsulAddressCheck(registry, "tfleet").begin(nowhere)


def test_a_registry_that_is_not_there_is_unavailable(nowhere: Instance) -> None:
    with pytest.raises(RegistryUnavailableError, match="Connection refused"):
        ConsulAddressCheck(nobody(), "tfleet").begin(nowhere)


@pytest.fixture
def nowhere() -> Instance:
    return worker_at(Address("127.0.0.1", 1))


@pytest.mark.parametrize(
    ("output", "error"),
    [
        (
            'Get "http://x:1/healthz?worker=w1": dial tcp x:1: connect: refused',
            "dial tcp x:1: connect: refused",
        ),
        ("Get http://x:1/healthz?worker=w1: context deadline exceeded", "context deadline exceeded"),
        ("HTTP GET http://x/: 404 Not Found Output: ", "another server answers there: 404 Not Found"),
        ("HTTP GET http://x/: 200 OK Output: w2\n", "another server answers there: 200 OK w2"),
        ("HTTP GET http://x/w1: 503 Busy Output: w1", "another server answers there: 503 Busy w1"),
        (
            'HTTP GET http://x/: 421 M Output: {"detail": 5}',
            'another server answers there: 421 M {"detail": 5}',
        ),
        ("words that\nnobody foresaw", "words that nobody foresaw"),
    ],
)
def test_each_output_is_read(output: str, error: str) -> None:
    assert parse_output(output, "w1") == Finding(False, error)


def test_an_output_is_one_line_of_bounded_length() -> None:
    finding = parse_output("HTTP GET http://x/: 500 No Output: " + "x\n" * 2000, "w1")
    assert finding is not None
    assert "\n" not in finding.error
    assert len(finding.error) < 300


def test_http_proxy_variables_are_ignored(check: ConsulAddressCheck, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", nobody().url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert not found(check, worker_at(nobody())).reached
