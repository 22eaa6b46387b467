"""`tfleet rollout` and a real proxy of two listeners: it ends when the proxy follows the plan."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import requests
from click.testing import CliRunner

from tests.support.canned_server import canned, http
from tests.support.proxy_process import Together, together
from tests.support.registered_models import RegisteredModels
from tests.support.waiting import eventually_sync
from tfleet.contract.address import Address
from tfleet.contract.names import proxies_of
from tfleet.deploy.cli import cli
from tfleet.discovery.consul.agent import ConsulAgent
from tfleet.discovery.instance import Instance
from tfleet.discovery.plan import Canary, Plan

pytestmark = pytest.mark.process


@pytest.fixture
def served(registry: Address) -> Iterator[RegisteredModels]:
    """A worker of each version of `m`, which answers every probe, and the registered proxy."""
    registered = RegisteredModels(registry)
    agent = ConsulAgent(registry, registered.service, ttl_s=600)
    one, two = f"{registered.service}-1", f"{registered.service}-2"
    with (
        canned(http("200 OK", b"", f"X-Worker: {one}")) as first,
        canned(http("200 OK", b"", f"X-Worker: {two}")) as second,
        together(*registered.options) as proxy,
    ):
        agent.register(Instance(one, first, "m", "1"))
        agent.register(Instance(two, second, "m", "2"))
        _wait_until_registered(registered, proxy)
        yield registered


def _wait_until_registered(registered: RegisteredModels, proxy: Together) -> None:
    agent = ConsulAgent(registered.registry, proxies_of(registered.service), ttl_s=600)
    eventually_sync(lambda: [one.instance.address for one in agent.listed()], wanted=lambda found: found)
    assert [one.instance.address for one in agent.listed()] == [proxy.address]


def run(registered: RegisteredModels, *arguments: str) -> str:
    done = CliRunner().invoke(cli, [*arguments, *registered.options])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_each_command_ends_when_the_proxy_follows(served: RegisteredModels) -> None:
    end = "; 1 proxy with the new plan\n"
    assert run(served, "rollout", "m", "1", "--percent", "20").endswith(f"version 2 the rest{end}")
    assert served.plan("m") == Plan("2", Canary("1", 20.0)), "of equals the higher one serves"
    assert run(served, "rollout", "m", "1", "--percent", "100").endswith(end)
    assert run(served, "promote", "m") == f"m: version 1 gets all requests{end}"
    found = json.loads(run(served, "rollback", "m", "--json"))
    assert (found["outcome"], found["plan_now"]["stable"]) == ("followed", "2")
    assert [row["shows_plan"] for row in found["proxies"]] == [True]
    assert run(served, "label", "m", "prod=1") == f"m: label prod means version 1{end}"
    assert run(served, "label", "m", "prod-") == f"m: label prod is removed{end}"


def test_the_proxy_follows_the_end_of_a_plan(served: RegisteredModels) -> None:
    run(served, "rollout", "m", "1", "--percent", "20")
    (proxy,) = ConsulAgent(served.registry, proxies_of(served.service), ttl_s=600).listed()

    def shares() -> dict[str, float]:
        (model,) = requests.get(f"{proxy.instance.address.url}/models", timeout=10).json()["models"]
        assert model["name"] == "m"
        return {row["version"]: row["percent"] for row in model["versions"]}

    assert shares() == {"1": 20.0, "2": 80.0}
    run(served, "models", "--end-plan", "m")
    eventually_sync(shares, wanted={"1": 0.0, "2": 100.0}.__eq__)
