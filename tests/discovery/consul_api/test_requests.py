"""What the fleet relies on in a registry, be it the embedded one or a real Consul: requests, refusals.

Each test has a service name of its own, so that they share one server each.
"""

from __future__ import annotations

import json
import os
import subprocess
import urllib.error
import urllib.request

import consul
import consul.aio
import pytest

from tests.discovery.consul_api.calls import DEADLINE_S, call, register
from tests.support.consul_agent import consul_binary
from tfleet.contract.address import Address


def test_answer_from_the_catalog_has_consul_headers(server: Address, name: str) -> None:
    with urllib.request.urlopen(f"{server.url}/v1/health/service/{name}", timeout=DEADLINE_S) as answer:
        headers = answer.headers
    assert int(headers["X-Consul-Index"]) >= 1
    assert headers["X-Consul-KnownLeader"] == "true"
    assert headers["X-Consul-LastContact"] == "0"
    assert headers.get_content_type() == "application/json"


_REGISTER = "/v1/agent/service/register"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "Missing service name"),
        (None, "Request decode failed: "),
        (b"{", "Request decode failed: "),
        ([], "Request decode failed: "),
        ({"Name": 5}, "Request decode failed: "),
        ({"Name": "n", "Port": "80"}, "Request decode failed: "),
        ({"Name": "n", "Tags": [1]}, "Request decode failed: "),
        ({"Name": "n", "Meta": {"a": 1}}, "Request decode failed: "),
        ({"Name": "n", "Bogus": 1}, 'Request decode failed: json: unknown field "Bogus"'),
        ({"Name": "n", "Check": {"TTL": "5"}}, 'Request decode failed: time: missing unit in duration "5"'),
        ({"Name": "n", "Check": {"TTL": "x"}}, 'Request decode failed: time: invalid duration "x"'),
        ({"Name": "n", "Check": {"Name": "c"}}, "Invalid check: TTL must be > 0 for TTL checks"),
        ({"Name": "n", "Checks": [{}]}, "Invalid check: TTL must be > 0 for TTL checks"),
        (
            {"Name": "n", "Check": {"TTL": "5s", "Status": "fine"}},
            "Status for checks must 'passing', 'warning', 'critical'",
        ),
        ({"Name": "n", "Address": "0.0.0.0"}, "Invalid service address"),
        ({"Name": "n", "Weights": {"Passing": 0}}, "Invalid Weights: Passing must be greater than 0"),
        ({"Name": "n", "Meta": {"a b": ""}}, "Invalid Service Meta: Couldn't load metadata pair ('a b', '')"),
        ({"Name": "n", "Meta": {"": ""}}, "Invalid Service Meta: Couldn't load metadata pair ('', '')"),
        ({"Name": "n", "Meta": {"k" * 129: ""}}, "Invalid Service Meta: "),
        ({"Name": "n", "Meta": {"k": "v" * 513}}, "Invalid Service Meta: "),
        ({"Name": "n", "Meta": {"consul-k": ""}}, "Invalid Service Meta: "),
        ({"Name": "n", "Meta": {f"k{n}": "" for n in range(65)}}, "Invalid Service Meta: Node metadata"),
    ],
)
def test_wrong_registration_is_refused(server: Address, body: object, words: str) -> None:
    status, text = call(server, "PUT", _REGISTER, body)
    assert (status, text[: len(words)]) == (400, words)


@pytest.mark.parametrize(
    "body",
    [
        {"name": "N", "check": {"ttl": "5s", "status": "passing", "deregistercriticalserviceafter": "1m"}},
        {"NAME": "N", "Check": {"TTL": 5e9, "deregister_critical_service_after": "90s"}},
        {"Name": "N", "Check": None, "Checks": None, "Meta": None, "Tags": None, "Port": None},
        {"Name": "N", "enable_tag_override": True, "tagged_addresses": {"lan": {"address": "10.0.0.1"}}},
    ],
)
def test_field_names_are_taken_in_any_case(server: Address, name: str, body: dict[str, object]) -> None:
    key = next(key for key in body if key.lower() == "name")
    assert call(server, "PUT", _REGISTER, body | {key: name}) == (200, "")
    assert json.loads(call(server, "GET", f"/v1/agent/service/{name}")[1])["Service"] == name


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/v1/health/service/", (400, "Missing service name")),
        ("GET", "/v1/catalog/service/", (400, "Missing service name")),
        ("GET", "/v1/health/service/x?index=-1", (400, "Invalid index")),
        ("GET", "/v1/health/service/x?index=a", (400, "Invalid index")),
        ("GET", "/v1/health/service/x?index=18446744073709551616", (400, "Invalid index")),
        ("GET", "/v1/health/service/x?wait=1", (400, "Invalid wait time")),
        ("GET", "/v1/health/service/x?passing=maybe", (400, "Invalid value for ?passing")),
        ("GET", "/v1/health/service/x?dc=elsewhere", (500, "No path to datacenter")),
        ("GET", "/v1/agent/service/x", (404, "unknown service ID: x")),
        ("PUT", "/v1/agent/service/deregister/", (500, "ServiceID missing")),
        ("PUT", "/v1/agent/check/pass/x", (500, 'CheckID "x" does not have associated TTL')),
        ("GET", "/v1/agent/check/pass/x", (405, "method GET not allowed")),
        ("POST", "/v1/agent/services", (405, "method POST not allowed")),
    ],
)
def test_wrong_request_is_refused(server: Address, method: str, path: str, expected: tuple[int, str]) -> None:
    assert call(server, method, path) == expected


def test_update_with_a_wrong_status_is_refused(server: Address) -> None:
    path = "/v1/agent/check/update/x"
    assert call(server, "PUT", path, {"Status": "fine"}) == (400, "Invalid check status: 'fine'")
    assert call(server, "PUT", path, {"Status": "passing"})[0] == 500


def test_unknown_path_is_not_found(server: Address) -> None:
    assert call(server, "GET", "/v1/nothing")[0] == 404


def test_filter_is_refused_where_it_cannot_be_obeyed(server: Address) -> None:
    assert call(server, "GET", "/v1/health/service/x?filter=bad")[0] in {400, 500}


@pytest.mark.parametrize("passing", ["passing=false", "passing=0"])
def test_passing_may_be_switched_off(server: Address, client: consul.Consul, name: str, passing: str) -> None:
    register(client, name, check=consul.Check.ttl("60s"))
    assert len(json.loads(call(server, "GET", f"/v1/health/service/{name}?{passing}")[1])) == 1
    assert json.loads(call(server, "GET", f"/v1/health/service/{name}?passing=true")[1]) == []


def test_consuls_own_command_line_reads_it(server: Address, client: consul.Consul, name: str) -> None:
    register(client, name)
    run = subprocess.run(
        [consul_binary(), "catalog", "services", f"-http-addr={server}"],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=True,
        env={key: value for key, value in os.environ.items() if not key.startswith("CONSUL_")},
    )
    assert name in run.stdout.split()
