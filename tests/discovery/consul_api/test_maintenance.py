"""What the fleet relies on in a registry, be it the embedded one or a real Consul: maintenance mode."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import consul
import consul.aio
import pytest

from tests.discovery.consul_api.calls import DEADLINE_S, call, index_of, register, statuses, ttl_check, until
from tfleet.contract.address import Address

NODE = "_node_maintenance"


@pytest.fixture
def node_in_order(client: consul.Consul) -> Iterator[None]:
    """Whatever a test does to the node, it is over afterwards: the server is everybody's."""
    yield
    client.agent.maintenance("false")


def checks(client: consul.Consul, name: str) -> dict[str, dict[str, Any]]:
    """Those of the only instance, by id."""
    _, (entry,) = client.health.service(name)
    return {check["CheckID"]: check for check in entry["Checks"]}


def passing(client: consul.Consul, name: str) -> int:
    return len(client.health.service(name, passing=True)[1])


def test_a_service_in_maintenance_has_a_critical_check(client: consul.Consul, name: str) -> None:
    register(client, name, tags=["a"])
    check_id = f"_service_maintenance:{name}"
    assert client.agent.service.maintenance(name, "true", "new disk")
    until(lambda: check_id in checks(client, name))
    found = checks(client, name)[check_id]
    assert found.pop("CreateIndex") <= found.pop("ModifyIndex")
    assert found == {
        "Node": found["Node"],
        "CheckID": check_id,
        "Name": "Service Maintenance Mode",
        "Status": "critical",
        "Notes": "new disk",
        "Output": "",
        "ServiceID": name,
        "ServiceName": name,
        "ServiceTags": ["a"],
        "Type": "maintenance",
        "Definition": {},
    }
    assert checks(client, name)[f"service:{name}"]["Status"] == "passing", "which says nothing of its health"
    assert passing(client, name) == 0
    assert client.agent.checks()[check_id]["Notes"] == "new disk"
    assert client.agent.service.maintenance(name, "false")
    until(lambda: check_id not in checks(client, name))
    assert passing(client, name) == 1
    assert check_id not in client.agent.checks()


@pytest.mark.usefixtures("node_in_order")
def test_a_node_in_maintenance_takes_all_services_with_it(client: consul.Consul, name: str) -> None:
    others = f"{name}-others"
    for each in (name, others):
        register(client, each)
    assert client.agent.maintenance("true", "reboot")
    until(lambda: all(NODE in checks(client, each) for each in (name, others)))
    found = checks(client, name)[NODE]
    assert found.pop("CreateIndex") <= found.pop("ModifyIndex")
    assert found == {
        "Node": found["Node"],
        "CheckID": NODE,
        "Name": "Node Maintenance Mode",
        "Status": "critical",
        "Notes": "reboot",
        "Output": "",
        "ServiceID": "",
        "ServiceName": "",
        "ServiceTags": [],
        "Type": "maintenance",
        "Definition": {},
    }
    assert (passing(client, name), passing(client, others)) == (0, 0)
    assert NODE in {check["CheckID"] for check in client.health.node(found["Node"])[1]}
    assert client.agent.checks()[NODE]["Status"] == "critical"
    register(client, f"{name}-new")
    until(lambda: client.health.service(f"{name}-new")[1] != [])
    assert NODE in checks(client, f"{name}-new"), "who comes now is in it as well"
    assert client.agent.maintenance("false")
    until(lambda: passing(client, name) == passing(client, others) == 1)


@pytest.mark.usefixtures("node_in_order")
def test_maintenance_has_a_default_reason(client: consul.Consul, name: str) -> None:
    register(client, name)
    client.agent.service.maintenance(name, "1")
    client.agent.maintenance("t")
    words = "Maintenance mode is enabled for this {}, but no reason was provided. This is a default message."
    own = f"_service_maintenance:{name}"
    until(lambda: {own, NODE} <= checks(client, name).keys())
    found = checks(client, name)
    assert (found[own]["Notes"], found[NODE]["Notes"]) == (words.format("service"), words.format("node"))


def test_the_first_reason_stays(client: consul.Consul, name: str) -> None:
    register(client, name)
    own = f"_service_maintenance:{name}"
    client.agent.service.maintenance(name, "true", "one")
    until(lambda: own in checks(client, name))
    before = index_of(client, name)
    client.agent.service.maintenance(name, "true", "two")
    assert client.agent.checks()[own]["Notes"] == "one"
    assert index_of(client, name) == before
    for _ in range(2):
        assert client.agent.service.maintenance(name, "false"), "also where it is over"


def test_registering_again_does_not_end_maintenance(client: consul.Consul, name: str) -> None:
    register(client, name)
    client.agent.service.maintenance(name, "true", "x")
    register(client, name, port=4712, check=ttl_check())
    client.agent.check.ttl_pass(f"service:{name}")
    own = f"_service_maintenance:{name}"
    until(lambda: own in checks(client, name))
    assert passing(client, name) == 0
    client.agent.service.deregister(name)
    register(client, name)
    until(lambda: passing(client, name) == 1)


def test_a_heartbeat_does_not_end_maintenance(server: Address, client: consul.Consul, name: str) -> None:
    register(client, name)
    client.agent.service.maintenance(name, "true")
    own = f"_service_maintenance:{name}"
    refusal = (500, f'CheckID "{own}" does not have associated TTL')
    assert call(server, "PUT", f"/v1/agent/check/pass/{own}") == refusal


@pytest.mark.usefixtures("node_in_order")
@pytest.mark.parametrize("of", ["service", "node"])
async def test_maintenance_wakes_a_blocking_query(aclient: consul.aio.Consul, name: str, of: str) -> None:
    await register(aclient, name)
    for enable in ("true", "false"):
        index, before = await aclient.health.service(name)
        async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as group:
            waiting = group.create_task(aclient.health.service(name, index=int(index), wait="1m"))
            if of == "node":
                await aclient.agent.maintenance(enable)
            else:
                await aclient.agent.service.maintenance(name, enable)
        new_index, after = waiting.result()
        assert int(new_index) > int(index)
        assert after != before


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("service/maintenance/?enable=true", (400, "Missing service ID")),
        ("service/maintenance/x?enable=true", (404, 'No service registered with ID "x"')),
        ("service/maintenance/x?enable=false", (404, 'No service registered with ID "x"')),
        ("service/maintenance/x", (400, "Missing value for enable")),
        ("service/maintenance/x?enable=", (400, 'Invalid value for enable: ""')),
        ("service/maintenance/x?enable=maybe", (400, 'Invalid value for enable: "maybe"')),
        ("maintenance", (400, "Missing value for enable")),
        ("maintenance?enable=maybe", (400, 'Invalid value for enable: "maybe"')),
    ],
)
def test_a_wrong_request_is_refused(server: Address, path: str, expected: tuple[int, str]) -> None:
    assert call(server, "PUT", f"/v1/agent/{path}") == expected


def test_maintenance_of_one_service_leaves_its_namesakes_alone(client: consul.Consul, name: str) -> None:
    for number in (1, 2):
        register(client, name, f"{name}-{number}")
    client.agent.service.maintenance(f"{name}-1", "true")
    until(lambda: passing(client, name) == 1)
    assert statuses(client, name)[f"{name}-2"] == "passing"
