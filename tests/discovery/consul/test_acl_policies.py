"""The documented ACL policies, on a real Consul that denies by default: enough, and no more."""

import asyncio
import re
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.canned_server import canned, http
from tests.support.secured_consul import MASTER, SecuredConsul, secured_consul
from tests.support.waiting import eventually_sync
from tfleet.client import AsyncFleetClient, FleetUnavailableError
from tfleet.contract.address import Address
from tfleet.discovery.consul.access import Access
from tfleet.discovery.consul.agent import ConsulAgent
from tfleet.discovery.consul.health import ConsulHealth, HealthResponse
from tfleet.discovery.consul.key_values import ConsulKeyValues
from tfleet.discovery.consul.reachability_check import ConsulAddressCheck, Finding
from tfleet.discovery.errors import RegistrationLostError, RegistryRefusedError
from tfleet.discovery.instance import Instance
from tfleet.discovery.plan import Plan, dump_plan, plan_key, service_prefix

DOCS = Path(__file__).parents[3] / "docs" / "how-to" / "consul-in-production.md"
POLICIES = dict(re.findall(r"```hcl\n# (\w+)\n(.*?)```", DOCS.read_text(), re.DOTALL))
LISTED = Instance("a-worker", Address("127.0.0.1", 1))
LISTED_PROXY = Instance("a-proxy", Address("127.0.0.1", 1))


@pytest.fixture(scope="module")
def consul(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredConsul]:
    with secured_consul(tmp_path_factory.mktemp("consul")) as running:
        for service, one in (("tfleet", LISTED), ("tfleet-proxy", LISTED_PROXY)):
            ConsulAgent(running.http, service, ttl_s=600, access=Access(MASTER)).register(one)
        yield running


def stays_registered(consul: Address, service: str, access: Access) -> None:
    """All that a registration does."""
    agent = ConsulAgent(consul, service, ttl_s=60, access=access)
    instance = Instance(f"{service}-1", Address("127.0.0.1", 8000))
    agent.register(instance)

    def seen() -> bool:
        try:
            agent.verify_listed(instance)
        except RegistrationLostError:
            return False
        return True

    eventually_sync(seen, timeout_s=2)
    assert [one.instance for one in agent.listed_at(instance.address)] == [instance]
    agent.heartbeat(instance)
    agent.deregister(instance)


def of(service: str, consul: Address, access: Access) -> HealthResponse:
    async def ask() -> HealthResponse:
        health = ConsulHealth(consul, wait_s=1, access=access)
        try:
            return await health.service(service, 0, 1)
        finally:
            await health.close()

    return asyncio.run(ask())


def worker(consul: Address, access: Access) -> None:
    stays_registered(consul, "tfleet", access)
    with canned(http("200 OK", b"tfleet-1")) as address:
        check = ConsulAddressCheck(consul, "tfleet", access)
        name = check.begin(Instance("tfleet-1", address))
        assert eventually_sync(lambda: check.finding(name)) == Finding(True)
        check.end(name)


def proxy(consul: Address, access: Access) -> None:
    assert LISTED in of("tfleet", consul, access).instances
    stays_registered(consul, "tfleet-proxy", access)
    plans(consul, access)


def plans(consul: Address, access: Access) -> None:
    """Write a plan, and read it as a watch does."""
    key, document = plan_key("tfleet", uuid.uuid4().hex), dump_plan(Plan("1"))

    async def write() -> bytes:
        store = ConsulKeyValues(consul, wait_s=1, access=access)
        try:
            assert await store.put(key, document, cas=0)
            return (await store.below(service_prefix("tfleet"), 0, 1)).values[key].value
        finally:
            await store.close()

    assert asyncio.run(write()) == document


def operator(consul: Address, access: Access) -> None:
    """What `tfleet rollout` does."""
    assert LISTED in of("tfleet", consul, access).instances
    assert LISTED_PROXY in of("tfleet-proxy", consul, access).instances
    plans(consul, access)


def client(consul: Address, access: Access) -> None:
    async def ask() -> str:
        async with AsyncFleetClient(f"consul://{consul}") as found:
            with pytest.raises(FleetUnavailableError) as raised:
                await found.workers()
        return str(raised.value)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONSUL_HTTP_TOKEN", access.token)
        assert asyncio.run(ask()).startswith(f"cannot reach {LISTED_PROXY.address.url}")


def prune(consul: Address, access: Access) -> None:
    dead = Instance("dead", Address("127.0.0.1", 2))
    ConsulAgent(consul, "tfleet", ttl_s=600, access=Access(MASTER)).register(dead)
    agent = ConsulAgent(consul, "tfleet", ttl_s=600, access=access)
    (listing,) = (one for one in agent.listed() if one.instance == dead)
    agent.remove_entry(listing)
    assert dead not in [one.instance for one in agent.listed()]


ROLES: dict[str, Callable[[Address, Access], None]] = {
    "worker": worker,
    "proxy": proxy,
    "client": client,
    "prune": prune,
    "plans": operator,
}


def rules_of(who: str) -> list[str]:
    return [line for line in POLICIES[who].splitlines() if line.strip()]


def test_every_role_has_a_policy() -> None:
    assert POLICIES.keys() == ROLES.keys()


@pytest.mark.parametrize("who", ROLES)
def test_each_documented_policy_is_enough(consul: SecuredConsul, who: str) -> None:
    ROLES[who](consul.http, Access(consul.token(POLICIES[who])))


@pytest.mark.parametrize(("who", "rule"), [(who, rule) for who in POLICIES for rule in rules_of(who)])
@pytest.mark.process
def test_each_rule_of_a_policy_is_needed(consul: SecuredConsul, who: str, rule: str) -> None:
    less = "\n".join(other for other in rules_of(who) if other != rule)
    with pytest.raises((AssertionError, RegistryRefusedError, ValueError)):
        ROLES[who](consul.http, Access(consul.token(less)))


def test_a_refused_registration_names_the_missing_rule(consul: SecuredConsul) -> None:
    weak = Access(consul.token('service "tfleet" { policy = "read" }'))
    agent = ConsulAgent(consul.http, "tfleet", ttl_s=60, access=weak)
    with pytest.raises(RegistryRefusedError) as raised:
        agent.register(LISTED)
    said = str(raised.value)
    assert said.startswith(f"the registry at {consul.http} refuses: Permission denied")
    assert said.endswith("to a token with service:write for tfleet and node:read")
    check = ConsulAddressCheck(consul.http, "tfleet", weak)
    with pytest.raises(RegistryRefusedError, match="to a token with service:write for tfleet-self-test"):
        check.begin(LISTED)


def test_a_token_without_node_read_is_explained(consul: SecuredConsul) -> None:
    blind = Access(consul.token('service "tfleet" { policy = "write" }'))
    agent = ConsulAgent(consul.http, "tfleet", ttl_s=60, access=blind)
    with pytest.raises(RegistrationLostError, match="the token needs service:read for tfleet and node:read"):
        agent.verify_listed(LISTED)


def test_a_token_unknown_to_consul_is_reported(consul: SecuredConsul) -> None:
    unknown = Access("nonsense")
    with pytest.raises(RegistryRefusedError, match="does not know the token: check CONSUL_HTTP_TOKEN"):
        ConsulAgent(consul.http, "tfleet", ttl_s=60, access=unknown).register(LISTED)
    with pytest.raises(RegistryRefusedError, match="does not know the token: check CONSUL_HTTP_TOKEN"):
        of("tfleet", consul.http, unknown)


def test_a_token_that_may_read_no_plans_is_told_so(consul: SecuredConsul) -> None:
    blind = Access(consul.token('service "tfleet" { policy = "read" }'))

    async def read() -> None:
        store = ConsulKeyValues(consul.http, wait_s=1, access=blind)
        try:
            await store.below(service_prefix("nobody"), 0, 1)
        finally:
            await store.close()

    with pytest.raises(RegistryRefusedError, match=r'key_prefix "tfleet/nobody/" { policy = "read" }'):
        asyncio.run(read())
