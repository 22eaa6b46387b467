import random
from collections.abc import Iterator

import pytest
import requests
from structlog.testing import capture_logs

from tests.support.two_agents import round_robin, two_agents
from tests.support.waiting import eventually_sync
from tfleet.contract.address import Address
from tfleet.discovery.consul.agent import ConsulAgent
from tfleet.discovery.consul.several_agents import ADVICE, SeveralAgents, live_nodes
from tfleet.discovery.errors import Loss
from tfleet.discovery.instance import Instance
from tfleet.discovery.registration.heartbeat import Registration

pytestmark = pytest.mark.process


NODES = {"agent-2", "agent-3"}


@pytest.fixture(scope="module")
def agents() -> Iterator[tuple[Address, Address]]:
    with two_agents() as found:
        yield found


def worker() -> Instance:
    return Instance(f"w-{random.randrange(10**9)}", Address("127.0.0.1", 8000))


def test_a_lost_entry_is_looked_up_later_or_at_the_third() -> None:
    others = SeveralAgents(random.Random(0))
    assert not others.is_due(1000.0)
    others.lost(Loss.FORGOTTEN, 0.0)
    assert not others.is_due(19.0)
    assert others.is_due(40.0)
    assert not others.is_due(41.0), "once for each loss"
    for _ in range(2):
        others.lost(Loss.FORGOTTEN, 50.0)
    assert others.is_due(50.0)
    others.kept()
    assert others.in_a_row == 0


def test_several_agents_are_reported_once() -> None:
    others = SeveralAgents(random.Random(0))
    assert not others.is_news({"a"})
    assert others.is_news({"a", "b"})
    others.lost(Loss.NOT_PASSING, 0.0)
    assert not others.is_due(1000.0)


def test_both_agents_behind_one_address_are_detected(agents: tuple[Address, Address]) -> None:
    with round_robin(*agents, idle_s=0.5) as address:
        assert ConsulAgent(address, "tfleet", ttl_s=10).nodes(worker()) == NODES
    for agent, name in zip(agents, sorted(NODES), strict=True):
        assert ConsulAgent(agent, "tfleet", ttl_s=10).nodes(worker()) == {name}


def test_several_agents_are_seen_in_the_catalog_too(agents: tuple[Address, Address]) -> None:
    """Where a token may not ask an agent for its name."""
    instance = worker()
    for agent in agents:
        ConsulAgent(agent, "twice", ttl_s=10).register(instance)

    def found() -> frozenset[str]:
        return live_nodes(requests.get(f"{agents[0].url}/v1/health/service/twice", timeout=10).json())

    eventually_sync(found, wanted=lambda nodes: nodes == NODES)


def test_an_agent_that_was_replaced_does_not_count() -> None:
    def entry(node: str, status: str) -> dict[str, object]:
        checks = [{"CheckID": "serfHealth", "Status": status}, {"CheckID": "x", "Status": "critical"}]
        return {"Node": {"Node": node}, "Checks": checks}

    assert live_nodes([entry("a", "critical"), entry("b", "passing")]) == {"b"}


@pytest.mark.parametrize("idle_s", [0.02, 0.3])
def test_a_worker_behind_a_balancer_says_what_is_wrong(
    agents: tuple[Address, Address], idle_s: float
) -> None:
    """The first one ends a connection after each answer, the second one between two heartbeats."""
    with round_robin(*agents, idle_s=idle_s) as address, capture_logs() as lines:
        ticks = iter(range(10**9))
        registration = Registration(
            ConsulAgent(address, "tfleet", ttl_s=10),
            worker(),
            heartbeat_s=0.5,
            clock=lambda: 30.0 * next(ticks),  # what is waited for, it has waited for
        )
        registration.start()
        try:
            (line,) = eventually_sync(lambda: [line for line in lines if line["event"] == ADVICE])
        finally:
            registration.stop()
    assert (set(line["nodes"]), line["registry"]) == (NODES, str(address))
    assert registration.losses[Loss.FORGOTTEN] >= 1
