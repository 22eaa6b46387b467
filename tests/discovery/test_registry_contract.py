"""What the fleet relies on in a registry, checked against the embedded one and against a real Consul.

Each test has a service name of its own, so that they share one server each.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import consul
import consul.aio
import pytest

from tests.consul_agent import consul_binary
from tfleet.discovery.address import Address

_BIG_INDEX = 2**63
_DEADLINE_S = 10.0


@pytest.fixture
def client(server: Address) -> Iterator[consul.Consul]:
    client = consul.Consul(server.host, server.port, connections_timeout=_DEADLINE_S)
    yield client
    client.http.session.close()


@pytest.fixture
async def aclient(server: Address) -> AsyncIterator[consul.aio.Consul]:
    client = consul.aio.Consul(server.host, server.port, verify=False, connections_timeout=_DEADLINE_S)
    yield client
    await client.close()


@pytest.fixture
def name() -> str:
    return f"service-{uuid.uuid4().hex[:8]}"


def _check(ttl: str = "60s", status: str = "passing") -> dict[str, str]:
    check: dict[str, str] = consul.Check.ttl(ttl)
    return check | {"Status": status, "DeregisterCriticalServiceAfter": "1m"}


def _register(client: Any, name: str, service_id: str | None = None, **options: Any) -> Any:
    """With the defaults of a worker; on the asynchronous client, to be awaited."""
    options = {"address": "127.0.0.9", "port": 4711, "check": _check()} | options
    return client.agent.service.register(name, service_id=service_id or name, **options)


def _statuses(client: consul.Consul, name: str) -> dict[Any, Any]:
    """Each instance's id with the status of its own first check."""
    _, entries = client.health.service(name)
    return {
        entry["Service"]["ID"]: check["Status"]
        for entry in entries
        for check in entry["Checks"]
        if check["ServiceID"]
    }


def _index(client: consul.Consul, name: str) -> int:
    return int(client.health.service(name)[0])


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)


def _call(server: Address, method: str, path: str, body: object = None) -> tuple[int, str]:
    """Status and text of a request that py-consul would not send, or would not show as it is."""
    data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(server.url + path, data, method=method)
    try:
        with urllib.request.urlopen(request, timeout=_DEADLINE_S) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_registered_service_is_in_health_with_its_address_meta_and_checks(
    client: consul.Consul, name: str
) -> None:
    assert _register(client, name, "one", tags=["a", "b"], meta={"model": "m", "version": "1"})
    index, (entry,) = client.health.service(name)
    index, node_name = int(index), entry["Node"]["Node"]
    service, checks = entry["Service"], entry["Checks"]
    assert service["CreateIndex"] <= service["ModifyIndex"] <= index
    created = {key: service[key] for key in ("CreateIndex", "ModifyIndex")}
    address = {"Address": "127.0.0.9", "Port": 4711}
    assert service == created | {
        "ID": "one",
        "Service": name,
        "Tags": ["a", "b"],
        "Address": "127.0.0.9",
        "TaggedAddresses": {"lan_ipv4": address, "wan_ipv4": address},
        "Meta": {"model": "m", "version": "1"},
        "Port": 4711,
        "Weights": {"Passing": 1, "Warning": 1},
        "EnableTagOverride": False,
        "Proxy": {"MeshGateway": {}, "Expose": {}},
        "Connect": {},
    }
    assert [check["CheckID"] for check in checks] == ["serfHealth", "service:one"]
    for check in checks:
        assert check.pop("CreateIndex") <= check.pop("ModifyIndex") <= index
    assert checks[0] == {
        "Node": node_name,
        "CheckID": "serfHealth",
        "Name": "Serf Health Status",
        "Status": "passing",
        "Notes": "",
        "Output": "Agent alive and reachable",
        "ServiceID": "",
        "ServiceName": "",
        "ServiceTags": [],
        "Type": "",
        "Definition": {},
    }
    assert checks[1] == {
        "Node": node_name,
        "CheckID": "service:one",
        "Name": f"Service '{name}' check",
        "Status": "passing",
        "Notes": "",
        "Output": "",
        "ServiceID": "one",
        "ServiceName": name,
        "ServiceTags": ["a", "b"],
        "Type": "ttl",
        "Definition": {},
    }
    node = entry["Node"]
    assert set(node) == {
        *("ID", "Node", "Address", "Datacenter", "TaggedAddresses", "Meta", "CreateIndex", "ModifyIndex")
    }
    assert (node["Address"], node["Datacenter"]) == ("127.0.0.1", "dc1")


def test_registered_service_is_in_the_catalog(client: consul.Consul, name: str) -> None:
    _register(client, name, "in-catalog", tags=["a"])
    _, names = client.catalog.services()
    _, (entry,) = client.catalog.service(name)
    assert names[name] == ["a"]
    assert set(entry) == {
        *("ID", "Node", "Address", "Datacenter", "TaggedAddresses", "NodeMeta", "ServiceKind", "ServiceID"),
        *("ServiceName", "ServiceTags", "ServiceAddress", "ServiceTaggedAddresses", "ServiceWeights"),
        *("ServiceMeta", "ServicePort", "ServiceEnableTagOverride", "ServiceProxy", "ServiceConnect"),
        *("CreateIndex", "ModifyIndex"),
    }
    picked = {key: entry[f"Service{key}"] for key in ("ID", "Name", "Address", "Port", "Tags", "Meta")}
    assert picked == {
        "ID": "in-catalog",
        "Name": name,
        "Address": "127.0.0.9",
        "Port": 4711,
        "Tags": ["a"],
        "Meta": {},
    }


def test_registered_service_is_on_its_agent(client: consul.Consul, name: str) -> None:
    _register(client, name, "on-agent", meta={"model": "m"})
    address = {"Address": "127.0.0.9", "Port": 4711}
    expected = {
        "ID": "on-agent",
        "Service": name,
        "Tags": [],
        "Meta": {"model": "m"},
        "Port": 4711,
        "Address": "127.0.0.9",
        "TaggedAddresses": {"lan_ipv4": address, "wan_ipv4": address},
        "Weights": {"Passing": 1, "Warning": 1},
        "EnableTagOverride": False,
    }
    assert client.agent.services()["on-agent"] == expected
    definition = client.agent.service_definition("on-agent")
    assert {key: definition[key] for key in expected} == expected
    check = client.agent.checks()["service:on-agent"]
    assert (check["Status"], check["CreateIndex"], check["Type"]) == ("passing", 0, "ttl")


def test_service_without_meta_or_address_has_null_and_empty(client: consul.Consul, name: str) -> None:
    client.agent.service.register(name)
    _, (entry,) = client.health.service(name)
    service = entry["Service"]
    assert (service["ID"], service["Meta"], service["Address"], service["Port"]) == (name, None, "", 0)
    assert [check["CheckID"] for check in entry["Checks"]] == ["serfHealth"]


def test_agent_says_who_it_is(client: consul.Consul) -> None:
    config = client.agent.self()["Config"]
    assert (config["Datacenter"], config["Version"]) == ("dc1", "1.8.7")
    (member,) = client.agent.members()
    assert (member["Name"], member["Status"]) == (config["NodeName"], 1)
    assert ":" in client.status.leader()


def test_absent_service_has_no_instances(client: consul.Consul, name: str) -> None:
    assert client.health.service(name)[1] == []
    assert client.catalog.service(name)[1] == []
    assert client.agent.service_definition(name) is None


def test_initial_status_is_critical_unless_said(client: consul.Consul, name: str) -> None:
    _register(client, name, check=consul.Check.ttl("60s"))
    assert _statuses(client, name) == {name: "critical"}
    assert client.health.service(name, passing=True)[1] == []


@pytest.mark.parametrize("verb", ["pass", "warn", "fail"])
def test_heartbeat_sets_the_status(client: consul.Consul, name: str, verb: str) -> None:
    _register(client, name, check=_check(status="warning" if verb == "pass" else "passing"))
    beat = getattr(client.agent.check, f"ttl_{verb}")
    assert beat(f"service:{name}", notes="so it is")
    expected = {"pass": "passing", "warn": "warning", "fail": "critical"}[verb]
    _until(lambda: _statuses(client, name) == {name: expected})
    assert client.agent.checks()[f"service:{name}"]["Output"] == "so it is"
    assert len(client.health.service(name, passing=True)[1]) == (expected == "passing")


def test_update_sets_status_and_output(server: Address, client: consul.Consul, name: str) -> None:
    _register(client, name)
    body = {"Status": "critical", "Output": "x" * 5000}
    assert _call(server, "PUT", f"/v1/agent/check/update/service:{name}", body) == (200, "")
    _until(lambda: _statuses(client, name) == {name: "critical"})
    output = client.agent.checks()[f"service:{name}"]["Output"]
    assert output == "x" * 4096 + " ... (captured 4096 of 5000 bytes)"


def test_heartbeat_of_an_unknown_check_raises(client: consul.Consul, name: str) -> None:
    with pytest.raises(consul.ConsulException, match="does not have associated TTL") as raised:
        client.agent.check.ttl_pass(f"service:{name}")
    assert type(raised.value) is consul.ConsulException


async def test_async_heartbeat_of_an_unknown_check_raises(aclient: consul.aio.Consul, name: str) -> None:
    with pytest.raises(consul.ConsulException, match="does not have associated TTL") as raised:
        await aclient.agent.check.ttl_pass(f"service:{name}")
    assert type(raised.value) is consul.ConsulException


def test_check_turns_critical_when_its_ttl_passes_and_back_with_a_heartbeat(
    client: consul.Consul, name: str
) -> None:
    _register(client, name, check=_check("300ms"))
    index = _index(client, name)
    index, _ = client.health.service(name, index=index, wait=f"{_DEADLINE_S:g}s")
    assert _statuses(client, name) == {name: "critical"}
    assert client.agent.checks()[f"service:{name}"]["Output"] == "TTL expired"
    client.agent.check.ttl_pass(f"service:{name}", notes="back")
    client.health.service(name, index=int(index), wait=f"{_DEADLINE_S:g}s")
    _until(lambda: "last output before timeout follows): back" in str(client.agent.checks()))


def test_heartbeats_keep_a_check_alive_and_do_not_move_the_index(client: consul.Consul, name: str) -> None:
    _register(client, name, check=_check("2s"))
    index = _index(client, name)
    beat_until = time.monotonic() + 3
    while time.monotonic() < beat_until:
        client.agent.check.ttl_pass(f"service:{name}")
        assert _statuses(client, name) == {name: "passing"}
        time.sleep(0.2)
    assert _index(client, name) == index


def test_deregistered_service_is_gone_everywhere(client: consul.Consul, name: str) -> None:
    _register(client, name)
    before = _index(client, name)
    assert client.agent.service.deregister(name)
    _until(lambda: client.health.service(name)[1] == [])
    assert _index(client, name) > before
    assert name not in client.catalog.services()[1]
    assert name not in client.agent.services()
    assert f"service:{name}" not in client.agent.checks()


def test_deregistering_an_unknown_service_is_no_error(client: consul.Consul, name: str) -> None:
    assert client.agent.service.deregister(name) is True


def test_catalog_deregistration_removes_a_service(server: Address, client: consul.Consul, name: str) -> None:
    _register(client, name)
    _until(lambda: client.health.service(name)[1] != [])
    node = client.health.service(name)[1][0]["Node"]["Node"]
    assert client.catalog.deregister(node, service_id=name)
    _until(lambda: client.health.service(name)[1] == [])
    assert client.catalog.deregister(node, service_id=name), "an unknown service is no error"
    assert client.catalog.deregister("another-node", service_id=name), "an unknown node is no error"
    assert _call(server, "PUT", "/v1/catalog/deregister", {}) == (500, "Must provide node")


def test_registering_an_id_again_replaces_the_service(client: consul.Consul, name: str) -> None:
    _register(client, name, meta={"version": "1"})
    before = _index(client, name)
    _register(client, name, port=4712, meta={"version": "2"})
    _until(lambda: _index(client, name) > before)
    _, (entry,) = client.health.service(name)
    assert (entry["Service"]["Port"], entry["Service"]["Meta"]) == (4712, {"version": "2"})


def test_registering_the_same_again_does_not_move_the_index(client: consul.Consul, name: str) -> None:
    _register(client, name)
    before = _index(client, name)
    _register(client, name)
    assert _index(client, name) == before


def test_registering_again_keeps_the_status_that_the_check_had(client: consul.Consul, name: str) -> None:
    _register(client, name)
    client.agent.check.ttl_fail(f"service:{name}")
    _until(lambda: _statuses(client, name) == {name: "critical"})
    _register(client, name, check=_check(status="passing"))
    assert _statuses(client, name) == {name: "critical"}, "so whoever registers again has to beat, too"
    client.agent.check.ttl_pass(f"service:{name}")
    _until(lambda: _statuses(client, name) == {name: "passing"})


def test_checks_that_are_not_named_again_stay_unless_replaced(client: consul.Consul, name: str) -> None:
    def ids() -> set[str]:
        return {
            check["CheckID"] for check in client.agent.checks().values() if check["ServiceID"] == f"{name}-id"
        }

    own = f"{name}-own"
    _register(client, name, f"{name}-id", extra_checks=[_check() | {"CheckID": own}])
    assert ids() == {f"service:{name}-id:1", own}
    _register(client, name, f"{name}-id", check=None)
    assert ids() == {f"service:{name}-id:1", own}
    _register(client, name, f"{name}-id", check=_check() | {"CheckID": own}, replace_existing_checks=True)
    assert ids() == {own}


def test_services_of_two_names_do_not_touch_each_other(client: consul.Consul, name: str) -> None:
    _register(client, name, f"{name}-1")
    _register(client, name, f"{name}-2")
    before = _index(client, name)
    _register(client, f"{name}-other")
    _until(lambda: {name, f"{name}-other"} <= client.catalog.services()[1].keys())
    client.agent.service.deregister(f"{name}-other")
    _until(lambda: f"{name}-other" not in client.catalog.services()[1])
    assert _index(client, name) == before
    assert set(_statuses(client, name)) == {f"{name}-1", f"{name}-2"}


def test_ids_and_names_may_hold_slashes_and_spaces(client: consul.Consul, name: str) -> None:
    service_id = f"{name}/a b"
    _register(client, f"{name}/x", service_id)
    assert client.agent.check.ttl_warn(f"service:{service_id}")
    _until(lambda: _statuses(client, f"{name}/x") == {service_id: "warning"})
    assert client.agent.service.deregister(service_id)
    _until(lambda: _statuses(client, f"{name}/x") == {})


async def _change_register(client: consul.aio.Consul, name: str) -> None:
    await _register(client, name, f"{name}-2")


async def _change_deregister(client: consul.aio.Consul, name: str) -> None:
    await client.agent.service.deregister(name)


async def _change_check(client: consul.aio.Consul, name: str) -> None:
    await client.agent.check.ttl_fail(f"service:{name}")


@pytest.mark.parametrize("change", [_change_register, _change_deregister, _change_check])
async def test_blocking_query_wakes_on_a_change(
    aclient: consul.aio.Consul, name: str, change: Callable[[consul.aio.Consul, str], Any]
) -> None:
    await _register(aclient, name)
    index, before = await aclient.health.service(name)
    async with asyncio.timeout(_DEADLINE_S), asyncio.TaskGroup() as group:
        waiting = group.create_task(aclient.health.service(name, index=int(index), wait="1m"))
        # Whether it is held already does not matter: the index it knows is from before the change.
        await change(aclient, name)
    new_index, after = waiting.result()
    assert int(new_index) > int(index)
    assert after != before


async def test_blocking_query_on_an_absent_service_wakes_when_it_comes(
    aclient: consul.aio.Consul, name: str
) -> None:
    index, _ = await aclient.health.service(name)
    async with asyncio.timeout(_DEADLINE_S), asyncio.TaskGroup() as group:
        waiting = group.create_task(aclient.health.service(name, index=int(index), wait="1m"))
        await _register(aclient, name)
    new_index, entries = waiting.result()
    assert int(new_index) > int(index)
    assert [entry["Service"]["ID"] for entry in entries] == [name]


async def test_blocking_query_on_the_list_of_services_wakes(aclient: consul.aio.Consul, name: str) -> None:
    index, names = await aclient.catalog.services()
    assert name not in names
    async with asyncio.timeout(_DEADLINE_S), asyncio.TaskGroup() as group:
        waiting = group.create_task(aclient.catalog.services(index=int(index), wait="1m"))
        await _register(aclient, name)
    new_index, names = waiting.result()
    assert int(new_index) > int(index)
    assert name in names


def test_blocking_query_times_out_with_the_index_unchanged(client: consul.Consul, name: str) -> None:
    _register(client, name)
    index, before = client.health.service(name)
    started = time.monotonic()
    assert client.health.service(name, index=int(index), wait="300ms") == (index, before)
    assert time.monotonic() - started >= 0.3


def test_query_with_index_0_or_an_old_one_answers_at_once(client: consul.Consul, name: str) -> None:
    _register(client, name)
    index = _index(client, name)
    for old in (0, 1, index - 1):
        started = time.monotonic()
        assert int(client.health.service(name, index=old, wait="1m")[0]) == index
        assert time.monotonic() - started < _DEADLINE_S


def test_query_with_a_future_index_waits_and_tells_the_real_one(client: consul.Consul, name: str) -> None:
    _register(client, name)
    index = _index(client, name)
    started = time.monotonic()
    assert int(client.health.service(name, index=_BIG_INDEX, wait="200ms")[0]) == index
    assert time.monotonic() - started >= 0.2


def test_index_never_falls(client: consul.Consul, name: str) -> None:
    seen = [_index(client, name)]
    changes: list[Callable[[], object]] = [
        lambda: _register(client, name, "n-1"),
        lambda: _register(client, name, "n-2"),
        lambda: client.agent.check.ttl_fail("service:n-1"),
        lambda: client.agent.service.deregister("n-1"),
        lambda: client.agent.service.deregister("n-2"),
        lambda: _register(client, name, "n-1"),
        lambda: client.agent.service.deregister("n-1"),
    ]
    for change in changes:
        change()
        seen.append(_index(client, name))
    assert seen == sorted(seen)
    assert min(seen) >= 1


def test_answer_from_the_catalog_has_consul_headers(server: Address, name: str) -> None:
    with urllib.request.urlopen(f"{server.url}/v1/health/service/{name}", timeout=_DEADLINE_S) as answer:
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
    status, text = _call(server, "PUT", _REGISTER, body)
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
    assert _call(server, "PUT", _REGISTER, body | {key: name}) == (200, "")
    assert json.loads(_call(server, "GET", f"/v1/agent/service/{name}")[1])["Service"] == name


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
    assert _call(server, method, path) == expected


def test_update_with_a_wrong_status_is_refused(server: Address) -> None:
    path = "/v1/agent/check/update/x"
    assert _call(server, "PUT", path, {"Status": "fine"}) == (400, "Invalid check status: 'fine'")
    assert _call(server, "PUT", path, {"Status": "passing"})[0] == 500


def test_unknown_path_is_not_found(server: Address) -> None:
    assert _call(server, "GET", "/v1/nothing")[0] == 404


def test_filter_is_refused_where_it_cannot_be_obeyed(server: Address) -> None:
    assert _call(server, "GET", "/v1/health/service/x?filter=bad")[0] in {400, 500}


@pytest.mark.parametrize("passing", ["passing=false", "passing=0"])
def test_passing_may_be_switched_off(server: Address, client: consul.Consul, name: str, passing: str) -> None:
    _register(client, name, check=consul.Check.ttl("60s"))
    assert len(json.loads(_call(server, "GET", f"/v1/health/service/{name}?{passing}")[1])) == 1
    assert json.loads(_call(server, "GET", f"/v1/health/service/{name}?passing=true")[1]) == []


def test_consuls_own_command_line_reads_it(server: Address, client: consul.Consul, name: str) -> None:
    _register(client, name)
    run = subprocess.run(
        [consul_binary(), "catalog", "services", f"-http-addr={server}"],
        capture_output=True,
        text=True,
        timeout=_DEADLINE_S,
        check=True,
        env={key: value for key, value in os.environ.items() if not key.startswith("CONSUL_")},
    )
    assert name in run.stdout.split()
