"""`tfleet up --jobs`: a Redis of its own, which keeps jobs over a restart of the fleet."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from tests.support.environment import users_environment
from tests.support.free_ports import free_ports
from tests.support.redis_server import need_redis
from tests.support.waiting import eventually_sync

pytestmark = pytest.mark.fleet

ROW = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}
IRIS = Path(__file__).parents[2] / "worker" / "models" / "iris" / "1"


def test_a_fleet_keeps_its_jobs_over_a_restart(tmp_path: Path) -> None:
    need_redis()
    port, registry = free_ports(2)
    options = ("--port", str(port), "--registry-port", str(registry), "--workers", "1", "--listeners", "2")
    command = (sys.executable, "-m", "tfleet", "up", *options, "--model", str(IRIS), "--jobs")
    environment = users_environment() | {"XDG_STATE_HOME": str(tmp_path)}
    url, log = f"http://127.0.0.1:{port}", tmp_path / "log"

    def start() -> subprocess.Popen[bytes]:
        with log.open("ab") as output:
            return subprocess.Popen(command, stdout=output, stderr=output, env=environment)

    def stop(fleet: subprocess.Popen[bytes]) -> None:
        fleet.send_signal(signal.SIGINT)
        assert fleet.wait(60) == 0, log.read_text()

    def status(path: str) -> int:
        try:
            return requests.get(url + path, timeout=10).status_code
        except requests.ConnectionError:
            return 0

    fleet = start()
    try:
        eventually_sync(lambda: status("/readyz"), wanted=(200).__eq__, timeout_s=90)
        direct = requests.post(f"{url}/predict", json=ROW, timeout=20)
        queued = requests.post(f"{url}/predict?queue=1", json=ROW, timeout=20)
        assert (queued.status_code, queued.json()) == (200, direct.json())
        location = requests.post(f"{url}/jobs", json=ROW, timeout=20).headers["Location"]
        assert requests.get(f"{url}{location}?wait=20", timeout=30).json() == direct.json()
    finally:
        stop(fleet)
    fleet = start()
    try:
        found = eventually_sync(lambda: status(location), wanted=(200).__eq__, timeout_s=90)
        assert found == 200
    finally:
        stop(fleet)
