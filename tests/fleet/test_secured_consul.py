"""A fleet on a Consul that wants tokens and certificates, told so by the variables of Consul's own tools."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner

from tests.support.canned_server import nobody
from tests.support.environment import users_environment
from tests.support.graphs import write_model
from tests.support.secured_consul import MASTER, SecuredConsul, secured_consul, write
from tests.support.waiting import eventually_sync
from tfleet.client import FleetClient, FleetUnavailableError
from tfleet.deploy.cli import cli

_POLICY = """
service "tfleet" { policy = "write" }
service "tfleet-self-test" { policy = "write" }
service "tfleet-proxy" { policy = "write" }
node_prefix "" { policy = "read" }
"""


def registered(consul: SecuredConsul) -> set[str]:
    """The names of all services."""
    answer = requests.get(
        f"{consul.http.url}/v1/catalog/services", headers={"X-Consul-Token": MASTER}, timeout=10
    )
    return set(answer.json())


def test_a_fleet_its_clients_and_prune_live_with_acls_and_tls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = write_model(tmp_path / "colours" / "1")
    with secured_consul(tmp_path) as consul:
        consul.show(consul.ca.issue_cert("server.dc1.consul"), wants_certificate=True)
        cert, key = write(consul.ca.issue_cert("fleet"), tmp_path, "fleet")
        token_file = tmp_path / "token"
        token_file.write_text(consul.token(_POLICY))
        variables = {
            "CONSUL_HTTP_ADDR": f"https://{consul.https}",
            "CONSUL_HTTP_TOKEN_FILE": str(token_file),
            "CONSUL_CACERT": str(consul.ca_file),
            "CONSUL_CLIENT_CERT": str(cert),
            "CONSUL_CLIENT_KEY": str(key),
            "CONSUL_TLS_SERVER_NAME": "server.dc1.consul",
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        options = ("--workers", "1", "--port", str(nobody().port), "--model", str(model))
        command = [sys.executable, "-m", "tfleet", "up", *options]
        fleet = subprocess.Popen(command, env={**users_environment(), **variables})
        try:
            with FleetClient(f"consul+https://{consul.https}") as client:

                def ready() -> int:
                    try:
                        return sum(worker.state == "ready" for worker in client.workers())
                    except FleetUnavailableError:
                        return 0

                eventually_sync(ready, timeout_s=90)
            pruned = CliRunner().invoke(cli, ["prune", "--dry-run"])
            assert (pruned.exit_code, pruned.output) == (0, "no stale registrations of tfleet\n")
            assert registered(consul) >= {"tfleet", "tfleet-proxy"}
            fleet.send_signal(signal.SIGTERM)
            assert fleet.wait(60) == 0
            eventually_sync(lambda: registered(consul), wanted=lambda found: found == {"consul"})
        finally:
            fleet.kill()
            fleet.wait(10)
