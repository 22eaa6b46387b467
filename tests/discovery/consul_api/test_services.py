"""What the fleet relies on in a registry, be it the embedded one or a real Consul: services and checks.

Each test has a service name of its own, so that they share one server each.
"""

from __future__ import annotations

import time

import consul
import consul.aio
import pytest

from tests.discovery.consul_api.calls import DEADLINE_S, call, index_of, register, statuses, ttl_check, until
from tfleet.contract.address import Address


def test_a_registered_service_is_complete_in_health(client: consul.Consul, name: str) -> None:
    assert register(client, name, "one", tags=["a", "b"], meta={"model": "m", "version": "1"})
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
    register(client, name, "in-catalog", tags=["a"])
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
    register(client, name, "on-agent", meta={"model": "m"})
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


def test_the_agent_names_itself(client: consul.Consul) -> None:
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
    register(client, name, check=consul.Check.ttl("60s"))
    assert statuses(client, name) == {name: "critical"}
    assert client.health.service(name, passing=True)[1] == []


@pytest.mark.parametrize("verb", ["pass", "warn", "fail"])
def test_heartbeat_sets_the_status(client: consul.Consul, name: str, verb: str) -> None:
    register(client, name, check=ttl_check(status="warning" if verb == "pass" else "passing"))
    beat = getattr(client.agent.check, f"ttl_{verb}")
    assert beat(f"service:{name}", notes="so it is")
    expected = {"pass": "passing", "warn": "warning", "fail": "critical"}[verb]
    until(lambda: statuses(client, name) == {name: expected})
    assert client.agent.checks()[f"service:{name}"]["Output"] == "so it is"
    assert len(client.health.service(name, passing=True)[1]) == (expected == "passing")


def test_update_sets_status_and_output(server: Address, client: consul.Consul, name: str) -> None:
    register(client, name)
    body = {"Status": "critical", "Output": "x" * 5000}
    assert call(server, "PUT", f"/v1/agent/check/update/service:{name}", body) == (200, "")
    until(lambda: statuses(client, name) == {name: "critical"})
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


@pytest.mark.process
def test_a_check_expires_and_a_heartbeat_heals_it(client: consul.Consul, name: str) -> None:
    register(client, name, check=ttl_check("300ms"))
    index = index_of(client, name)
    index, _ = client.health.service(name, index=index, wait=f"{DEADLINE_S:g}s")
    assert statuses(client, name) == {name: "critical"}
    assert client.agent.checks()[f"service:{name}"]["Output"] == "TTL expired"
    client.agent.check.ttl_pass(f"service:{name}", notes="back")
    client.health.service(name, index=int(index), wait=f"{DEADLINE_S:g}s")
    until(lambda: "last output before timeout follows): back" in str(client.agent.checks()))


@pytest.mark.process
def test_heartbeats_keep_a_check_passing_and_the_index_still(client: consul.Consul, name: str) -> None:
    register(client, name, check=ttl_check("2s"))
    index = index_of(client, name)
    beat_until = time.monotonic() + 3
    while time.monotonic() < beat_until:
        client.agent.check.ttl_pass(f"service:{name}")
        assert statuses(client, name) == {name: "passing"}
        time.sleep(0.2)
    assert index_of(client, name) == index


def test_deregistered_service_is_gone_everywhere(client: consul.Consul, name: str) -> None:
    register(client, name)
    before = index_of(client, name)
    assert client.agent.service.deregister(name)
    until(lambda: client.health.service(name)[1] == [])
    assert index_of(client, name) > before
    assert name not in client.catalog.services()[1]
    assert name not in client.agent.services()
    assert f"service:{name}" not in client.agent.checks()


def test_deregistering_an_unknown_service_is_no_error(client: consul.Consul, name: str) -> None:
    assert client.agent.service.deregister(name) is True


def test_catalog_deregistration_removes_a_service(server: Address, client: consul.Consul, name: str) -> None:
    register(client, name)
    until(lambda: client.health.service(name)[1] != [])
    node = client.health.service(name)[1][0]["Node"]["Node"]
    assert client.catalog.deregister(node, service_id=name)
    until(lambda: client.health.service(name)[1] == [])
    assert client.catalog.deregister(node, service_id=name), "an unknown service is no error"
    assert client.catalog.deregister("another-node", service_id=name), "an unknown node is no error"
    assert call(server, "PUT", "/v1/catalog/deregister", {}) == (500, "Must provide node")


@pytest.mark.parametrize(
    ("match", "found"),
    [
        ('Service.ID == "{name}-1"', ["1"]),
        ('Service.Address == "127.0.0.9" and Service.Port == 4711', ["1", "2"]),
        ('Service.Address == "127.0.0.9" and Service.Port == 4712', ["3"]),
        ('Service.ID == "{name}-1" and Service.Port == 4712', []),
        ('Service.ID == "{name}"', []),
    ],
)
def test_instances_are_found_by_id_and_by_address(
    client: consul.Consul, name: str, match: str, found: list[str]
) -> None:
    for service_id, port in (("1", 4711), ("2", 4711), ("3", 4712)):
        register(client, name, f"{name}-{service_id}", port=port)
    until(lambda: len(client.health.service(name)[1]) == 3)
    _, entries = client.health.service(name, filter_expr=match.format(name=name))
    assert sorted(entry["Service"]["ID"] for entry in entries) == [f"{name}-{end}" for end in found]


def test_a_check_is_found_on_its_node(client: consul.Consul, name: str) -> None:
    register(client, name)
    until(lambda: client.health.service(name)[1] != [])
    node = client.health.service(name)[1][0]["Node"]["Node"]
    match = f'CheckID == "service:{name}"'
    _, (check,) = client.health.node(node, filter_expr=match)
    assert (check["ServiceID"], check["ServiceName"], check["Status"]) == (name, name, "passing")
    assert check["CheckID"] in {each["CheckID"] for each in client.health.node(node)[1]}
    assert client.health.node("another-node", filter_expr=match)[1] == []
    client.agent.service.deregister(name)
    until(lambda: client.health.node(node, filter_expr=match)[1] == [])


def test_registering_an_id_again_replaces_the_service(client: consul.Consul, name: str) -> None:
    register(client, name, meta={"version": "1"})
    before = index_of(client, name)
    register(client, name, port=4712, meta={"version": "2"})
    until(lambda: index_of(client, name) > before)
    _, (entry,) = client.health.service(name)
    assert (entry["Service"]["Port"], entry["Service"]["Meta"]) == (4712, {"version": "2"})


def test_registering_the_same_again_does_not_move_the_index(client: consul.Consul, name: str) -> None:
    register(client, name)
    before = index_of(client, name)
    register(client, name)
    assert index_of(client, name) == before


def test_registering_again_keeps_the_status_that_the_check_had(client: consul.Consul, name: str) -> None:
    register(client, name)
    client.agent.check.ttl_fail(f"service:{name}")
    until(lambda: statuses(client, name) == {name: "critical"})
    register(client, name, check=ttl_check(status="passing"))
    assert statuses(client, name) == {name: "critical"}, "so whoever registers again has to beat, too"
    client.agent.check.ttl_pass(f"service:{name}")
    until(lambda: statuses(client, name) == {name: "passing"})


def test_checks_that_are_not_named_again_stay_unless_replaced(client: consul.Consul, name: str) -> None:
    def ids() -> set[str]:
        return {
            check["CheckID"] for check in client.agent.checks().values() if check["ServiceID"] == f"{name}-id"
        }

    own = f"{name}-own"
    register(client, name, f"{name}-id", extra_checks=[ttl_check() | {"CheckID": own}])
    assert ids() == {f"service:{name}-id:1", own}
    register(client, name, f"{name}-id", check=None)
    assert ids() == {f"service:{name}-id:1", own}
    register(client, name, f"{name}-id", check=ttl_check() | {"CheckID": own}, replace_existing_checks=True)
    assert ids() == {own}


def test_services_of_two_names_are_independent(client: consul.Consul, name: str) -> None:
    register(client, name, f"{name}-1")
    register(client, name, f"{name}-2")
    before = index_of(client, name)
    register(client, f"{name}-other")
    until(lambda: {name, f"{name}-other"} <= client.catalog.services()[1].keys())
    client.agent.service.deregister(f"{name}-other")
    until(lambda: f"{name}-other" not in client.catalog.services()[1])
    assert index_of(client, name) == before
    assert set(statuses(client, name)) == {f"{name}-1", f"{name}-2"}


def test_ids_and_names_may_hold_slashes_and_spaces(client: consul.Consul, name: str) -> None:
    service_id = f"{name}/a b"
    register(client, f"{name}/x", service_id)
    assert client.agent.check.ttl_warn(f"service:{service_id}")
    until(lambda: statuses(client, f"{name}/x") == {service_id: "warning"})
    assert client.agent.service.deregister(service_id)
    until(lambda: statuses(client, f"{name}/x") == {})
