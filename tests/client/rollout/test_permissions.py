"""A Consul with ACLs: what a token may not read is no empty fleet, and each refusal names its rule."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result

from tests.support.canned_server import nobody
from tests.support.secured_consul import MASTER, SecuredConsul, secured_consul
from tfleet.deploy.cli import cli
from tfleet.discovery.consul.access import Access
from tfleet.discovery.consul.agent import ConsulAgent
from tfleet.discovery.instance import Instance

pytestmark = pytest.mark.process

WORKERS = 'service "tfleet" { policy = "read" } node_prefix "" { policy = "read" }'
PROXIES = 'service "tfleet-proxy" { policy = "read" }'
PLANS = 'key_prefix "tfleet/tfleet/" { policy = "%s" }'


@pytest.fixture(scope="module")
def consul(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredConsul]:
    with secured_consul(tmp_path_factory.mktemp("consul")) as running:
        agent = ConsulAgent(running.http, "tfleet", ttl_s=600, access=Access(MASTER))
        for number, version in enumerate(("1", "1", "2")):
            agent.register(Instance(f"tfleet-{number}", nobody(), "flowers", version))
        yield running


def run(consul: SecuredConsul, token: str, *command: str) -> Result:
    environment = {"CONSUL_HTTP_ADDR": str(consul.http), "CONSUL_HTTP_TOKEN": token}
    return CliRunner().invoke(cli, [*command], env=environment)


def test_reading_plans_needs_its_rule(consul: SecuredConsul) -> None:
    for command in (("models",), ("rollout", "flowers", "2")):
        done = run(consul, consul.token(WORKERS), *command)
        assert (done.exit_code, done.stdout) == (1, "")
        assert done.stderr.endswith('to a token with key_prefix "tfleet/tfleet/" { policy = "read" }\n')


def test_writing_plans_needs_its_rule(consul: SecuredConsul) -> None:
    done = run(consul, consul.token(WORKERS + PLANS % "read"), "rollout", "flowers", "2")
    assert done.exit_code == 1
    assert done.stderr.endswith('to a token with key_prefix "tfleet/tfleet/" { policy = "write" }\n')
    done = run(consul, consul.token(WORKERS + PROXIES + PLANS % "write"), "rollout", "flowers", "2")
    assert (done.exit_code, done.stderr) == (0, "")


def test_workers_that_may_be_hidden_are_told(consul: SecuredConsul) -> None:
    token = consul.token(PLANS % "write")
    hint = "if Consul has ACLs, the token needs service:read for tfleet and node:read"
    done = run(consul, token, "models")
    assert (done.exit_code, done.stderr) == (0, f"no worker is listed: {hint}\n")
    done = run(consul, token, "models", "--default", "cats")
    assert done.exit_code == 2


def test_proxies_that_may_be_hidden_are_told(consul: SecuredConsul) -> None:
    token = consul.token(WORKERS + PLANS % "write")
    done = run(consul, token, "rollout", "flowers", "2", "--percent", "20")
    assert done.stdout.endswith(
        "no proxy is registered as tfleet-proxy that could show it; if Consul has ACLs, the token needs "
        "service:read for tfleet-proxy and node:read\n"
    )
