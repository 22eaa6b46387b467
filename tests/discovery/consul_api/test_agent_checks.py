"""What a worker's self-test relies on: a registry that asks a URL by itself and says what it found."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

import consul
import pytest

from tests.discovery.consul_api.calls import call, register, statuses, until
from tests.support.canned_server import canned, http, nobody
from tfleet.contract.address import Address


def http_check(url: str, *, timeout: str = "5s") -> dict[str, str]:
    check: dict[str, str] = consul.Check.http(url, interval="1s", timeout=timeout, deregister="1m")
    return check


def result(client: consul.Consul, name: str) -> dict[str, Any]:
    """The check as its agent knows it, as soon as it has been run."""
    check_id, found = f"service:{name}", {}

    def has_run() -> bool:
        nonlocal found
        found = client.agent.checks(filter_expr=f'CheckID == "{check_id}"')
        assert found.keys() == {check_id}, "the filter leaves only this one"
        return bool(found[check_id]["Output"])

    until(has_run)
    check: dict[str, Any] = found[check_id]
    return check


@pytest.mark.parametrize(
    ("status", "means"),
    [
        ("200 OK", "passing"),
        ("204 No Content", "passing"),
        ("429 Too Many Requests", "warning"),
        ("404 Not Found", "critical"),
        ("421 Misdirected Request", "critical"),
        ("503 Service Unavailable", "critical"),
    ],
)
def test_an_answer_sets_the_checks_status_and_output(
    client: consul.Consul, name: str, status: str, means: str
) -> None:
    body = b"" if status.startswith("204") else b'{"detail": "I am w1"}\n'
    with canned(http(status, body)) as target:
        url = f"{target.url}/healthz?worker={name}"
        register(client, name, check=http_check(url))
        check = result(client, name)
        client.agent.service.deregister(name)
    assert check["Status"] == means
    assert check["Output"] == f"HTTP GET {url}: {status} Output: {body.decode()}"
    assert (check["Type"], check["ServiceID"]) == ("http", name)


def test_before_its_first_run_a_check_is_critical(client: consul.Consul, name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = Address(*silent.getsockname()).url
        register(client, name, check=http_check(url))
        check = client.agent.checks()[f"service:{name}"]
        assert (check["Status"], check["Output"]) == ("critical", "")
        client.agent.service.deregister(name)


def test_a_check_without_a_listener_is_critical_with_a_reason(client: consul.Consul, name: str) -> None:
    url = f"{nobody().url}/healthz"
    register(client, name, check=http_check(url))
    check = result(client, name)
    assert check["Status"] == "critical"
    assert check["Output"].startswith(f'Get "{url}": ')
    assert check["Output"].endswith("connection refused")


def test_a_check_of_an_unknown_host_is_critical_with_a_reason(client: consul.Consul, name: str) -> None:
    url = "http://nobody.invalid:80/"
    register(client, name, check=http_check(url))
    check = result(client, name)
    assert check["Status"] == "critical"
    assert check["Output"].startswith(f'Get "{url}": ')


def test_a_check_waits_no_longer_than_its_timeout(client: consul.Consul, name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = Address(*silent.getsockname()).url
        began_s = time.monotonic()
        register(client, name, check=http_check(url, timeout="200ms"))
        check = result(client, name)
        assert time.monotonic() - began_s < 5
        client.agent.service.deregister(name)
    assert (check["Status"], check["Output"][: len(url) + 6]) == ("critical", f'Get "{url}"')


@pytest.mark.process
def test_the_check_runs_every_second_and_follows_its_target(client: consul.Consul, name: str) -> None:
    with canned(http("200 OK", b"well")) as target:
        register(client, name, check=http_check(target.url))
        until(lambda: statuses(client, name) == {name: "passing"})
    until(lambda: statuses(client, name) == {name: "critical"})


def test_a_check_is_removed_with_its_service(server: Address, client: consul.Consul, name: str) -> None:
    register(client, name, check=http_check(nobody().url))
    until(lambda: f"service:{name}" in client.agent.checks())
    client.agent.service.deregister(name)
    assert client.agent.checks(filter_expr=f'CheckID == "service:{name}"') == {}


def test_a_failing_check_fails_only_its_own_service(client: consul.Consul, name: str) -> None:
    register(client, f"{name}-others")
    register(client, name, check=http_check(nobody().url))
    result(client, name)
    until(lambda: statuses(client, name) == {name: "critical"})
    assert len(client.health.service(f"{name}-others", passing=True)[1]) == 1


def test_a_heartbeat_cannot_set_an_http_check(server: Address, client: consul.Consul, name: str) -> None:
    register(client, name, check=http_check(nobody().url))
    refusal = (500, f'CheckID "service:{name}" does not have associated TTL')
    assert call(server, "PUT", f"/v1/agent/check/pass/service:{name}") == refusal
    assert call(server, "PUT", f"/v1/agent/check/update/service:{name}", {"Status": "passing"}) == refusal


@pytest.mark.parametrize(
    ("check", "words"),
    [
        ({"HTTP": "http://x/"}, "Invalid check: Interval must be > 0 for Script, HTTP, or TCP checks"),
        (
            {"HTTP": "http://x/", "Interval": "-1s"},
            "Invalid check: Interval must be > 0 for Script, HTTP, or TCP checks",
        ),
        ({"HTTP": "", "Interval": "1s"}, "Invalid check: TTL must be > 0 for TTL checks"),
        ({"HTTP": 5, "Interval": "1s"}, "Request decode failed: "),
        ({"HTTP": "http://x/", "Interval": "x"}, "Request decode failed: time: invalid duration"),
    ],
)
def test_a_wrong_http_check_is_refused(server: Address, check: dict[str, object], words: str) -> None:
    status, text = call(server, "PUT", "/v1/agent/service/register", {"Name": "wrong", "Check": check})
    assert (status, text[: len(words)]) == (400, words)
    assert "wrong" not in json.loads(call(server, "GET", "/v1/agent/services")[1])
