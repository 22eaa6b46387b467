"""A fleet that asks for a token: it lives as any other, and a stranger can do nothing to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import requests

from tests.support.canned_server import nobody
from tests.support.pictures import picture
from tests.support.tfleet_up import up
from tfleet.contract.address import Address


def test_without_the_token_nothing_is_registered_or_removed(model: Path, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    ports = (nobody().port, nobody().port)
    registry = Address("127.0.0.1", ports[1])
    with up("--registry-token-file", str(token), "--model", str(model), ports=ports) as fleet:
        shown = {"X-Consul-Token": "s3cret"}
        listed = requests.get(f"{registry.url}/v1/agent/services", headers=shown, timeout=10).json()
        workers = [key for key, service in listed.items() if service["Service"] == "tfleet"]
        assert len(workers) == 2
        for headers in ({}, {"X-Consul-Token": "guess"}):
            for path in ("register", f"deregister/{workers[0]}", f"maintenance/{workers[0]}?enable=true"):
                answer = requests.put(
                    f"{registry.url}/v1/agent/service/{path}",
                    headers=headers,
                    data=json.dumps({"Name": "tfleet", "ID": "stranger", "Address": "127.0.0.1", "Port": 9}),
                    timeout=10,
                )
                assert answer.status_code == 403
        after = requests.get(f"{registry.url}/v1/agent/services", headers=shown, timeout=10).json()
        assert after.keys() == listed.keys()
        ranking = requests.post(fleet.url, files={"data": picture("red")}, timeout=30).json()
        assert ranking[0][0] == "red"
        found = ("status", "--proxy", f"consul://{registry}")
        assert "ready" in _tfleet(*found, token=token).stdout
        refused = _tfleet(*found)
        assert refused.returncode == 1
        assert "--registry-token-file" in refused.stderr
        assert fleet.stop() == 0
        assert "s3cret" not in fleet.said


def _tfleet(*arguments: str, token: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = os.environ | ({"TFLEET_REGISTRY_TOKEN_FILE": str(token)} if token else {})
    return subprocess.run(
        [sys.executable, "-m", "tfleet", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
