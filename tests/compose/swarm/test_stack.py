"""docker-compose.yml as a stack on a Swarm of one machine: what is done to it costs nobody a request."""

import asyncio
import ipaddress

import pytest
import requests

from tests.compose.slow_load import trickle
from tests.compose.swarm.stack import HAS_IPVS, Stack
from tests.support.waiting import eventually_sync

_UPDATED_S = 120.0
_LISTED_S = 60.0

_NETWORKS = "import socket; print(sum(name != 'lo' for _, name in socket.if_nameindex()))"
_WITHOUT_A_TICKET = """
import urllib.request
image = b"not looked at"
request = urllib.request.Request("http://localhost:8000/", image, {"Content-Type": "image/png"})
try:
    urllib.request.urlopen(request)
except urllib.error.HTTPError as error:
    print(error.code)
"""


def _running(stack: Stack) -> set[str]:
    return {str(each.id) for each in stack.containers("worker")}


def test_the_published_port_is_the_routing_mesh_s(small_stack: Stack) -> None:
    if not HAS_IPVS:
        pytest.skip("no IPVS in this kernel (/proc/net/ip_vs): the port is the machine's own, see stack.py")
    (port,) = small_stack.service("proxy").attrs["Endpoint"]["Ports"]
    assert port["PublishMode"] == "ingress"
    assert requests.get(f"{small_stack.url}/readyz", timeout=10).status_code == 200


def test_workers_register_their_overlay_network_address(small_stack: Stack) -> None:
    """They are in others, too: that in which they reach the world, and where it is, the routing mesh's."""
    overlay = ipaddress.ip_network(small_stack.subnet())
    hosts = [str(row["address"]).rpartition(":")[0] for row in small_stack.rows()]
    assert [ipaddress.ip_address(host) in overlay for host in hosts] == [True, True]
    worker = small_stack.containers("worker")[0]
    assert int(worker.exec_run(["python", "-c", _NETWORKS]).output) > 1


def test_the_ticket_key_is_a_secret_that_only_tfleet_can_read(small_stack: Stack) -> None:
    worker = small_stack.containers("worker")[0]
    stat = worker.exec_run(["stat", "-c", "%U:%u %a", "/run/secrets/ticket_key"]).output
    assert stat.split() == [b"UNKNOWN:10001", b"400"]
    assert worker.exec_run(["python", "-c", _WITHOUT_A_TICKET]).output.strip() == b"401"


async def test_a_rolling_update_loses_no_request(small_stack: Stack) -> None:
    before = _running(small_stack)
    async with trickle(small_stack):
        await asyncio.to_thread(small_stack.deploy, TFLEET_MAX_BATCH="4")
        await asyncio.to_thread(
            eventually_sync,
            lambda: _running(small_stack),
            wanted=lambda found: len(found) == 2 and not found & before,
            timeout_s=_UPDATED_S,
        )
        await asyncio.to_thread(small_stack.settled, 2)


async def test_an_update_to_a_missing_model_is_rolled_back(small_stack: Stack) -> None:
    before = _running(small_stack)
    async with trickle(small_stack):
        await asyncio.to_thread(small_stack.deploy, TFLEET_MAX_BATCH="4", TFLEET_MODEL="/models/none")
        await asyncio.to_thread(
            eventually_sync,
            lambda: small_stack.update("worker"),
            wanted=lambda found: found == "rollback_completed",
            timeout_s=_UPDATED_S,
        )
    assert _running(small_stack) == before
    small_stack.settled(2)


def _in_proxy(stack: Stack, command: str) -> None:
    code, said = stack.containers("proxy")[0].exec_run(command)
    assert code == 0, said.decode()


async def test_a_second_service_takes_over(small_stack: Stack) -> None:
    """The same files as version 2, as the page on compose has it."""
    green = {"GREEN_MODEL_VERSION": "2", "GREEN_WORKERS": "2", "TFLEET_MAX_BATCH": "4"}
    async with trickle(small_stack):
        await asyncio.to_thread(_in_proxy, small_stack, "tfleet rollout colours 1")
        await asyncio.to_thread(small_stack.deploy, **green)
        await asyncio.to_thread(_in_proxy, small_stack, "tfleet rollout colours 2 --wait")
        await asyncio.to_thread(small_stack.settled, 4)
        await asyncio.to_thread(_in_proxy, small_stack, "tfleet promote colours")
        await asyncio.to_thread(small_stack.deploy, **green, WORKERS="0")
        await asyncio.to_thread(
            eventually_sync,
            lambda: small_stack.containers("worker"),
            wanted=lambda found: not found,
            timeout_s=_UPDATED_S,
        )
        await asyncio.to_thread(small_stack.settled, 2)
    assert {row["version"] for row in small_stack.rows()} == {"2"}


async def test_consul_is_replaced(small_stack: Stack) -> None:
    before = set(small_stack.states())
    (consul,) = small_stack.containers("consul")
    async with trickle(small_stack):
        await asyncio.to_thread(consul.kill)
        await asyncio.to_thread(
            eventually_sync,
            small_stack.listed,
            wanted=lambda found: set(found) == before and all(found.values()),
            timeout_s=_LISTED_S,
        )
    assert set(small_stack.states()) == before


def test_removal_leaves_nothing(small_stack: Stack) -> None:
    """The last one: nothing is up after it."""
    assert small_stack.remove() == []
