"""`tfleet up` with workers that are forked from a process which has imported TensorFlow."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import requests

from tests.support.canned_server import nobody
from tests.support.environment import users_environment
from tests.support.pictures import picture
from tests.support.tfleet_up import ROOT, Up, up
from tests.support.waiting import eventually_sync


def _private_kb(pid: int) -> int:
    """The memory that a process does not share."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(map(int, re.findall(r"^Private_\w+: +(\d+) kB", text, re.MULTILINE)))


def _first_colours(fleet: Up, requests_sent: int) -> set[str]:
    files = [{"data": picture("red")} for _ in range(requests_sent)]
    return {requests.post(fleet.url, files=each, timeout=30).json()[0][0] for each in files}


def test_workers_share_memory_and_outlive_their_origin(model: Path) -> None:
    with up("--model", str(model), workers=3) as fleet:
        (preload,) = fleet.pids("preload")
        workers = fleet.pids("worker")
        assert len(workers) == 3
        # A worker that has imported TensorFlow by itself has 195 MB of its own.
        assert max(map(_private_kb, workers)) < 100_000
        os.kill(preload, signal.SIGKILL)
        os.kill(min(workers), signal.SIGKILL)
        assert _first_colours(fleet, 10) == {"red"}
        after = eventually_sync(lambda: fleet.pids("worker"), wanted=lambda now: len(now - workers) == 1)
        assert after > workers - {min(workers)}
        eventually_sync(lambda: fleet.pids("preload") - {preload})
        eventually_sync(fleet.ready, wanted=lambda ready: ready == 3, timeout_s=60)
        assert re.search(r"worker-\d ended \(SIGKILL\): starting it again", fleet.said)
        assert re.search(r"preload ended \(SIGKILL\): starting it again", fleet.said)
        assert _first_colours(fleet, 6) == {"red"}
        children = fleet.pids()
        assert fleet.stop() == 0
        assert "all stopped" in fleet.said
        assert not any(Path(f"/proc/{pid}").exists() for pid in children)


def test_forked_workers_end_with_tfleet_up(model: Path) -> None:
    with up("--model", str(model)) as fleet:
        children = fleet.pids()
        assert len(children) == 5  # registry, proxy, preload, two workers
        fleet.process.kill()
        eventually_sync(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children), timeout_s=60)


def test_without_preload_each_worker_is_started(model: Path) -> None:
    with up("--no-preload", "--model", str(model)) as fleet:
        assert not fleet.pids("preload")
        assert min(map(_private_kb, fleet.pids("worker"))) > 100_000
        assert _first_colours(fleet, 4) == {"red"}


def test_a_forked_worker_that_can_never_run_ends_the_fleet() -> None:
    proxy, registry = nobody().port, nobody().port
    ports = ("--port", str(proxy), "--registry-port", str(registry))
    options = ("--model", "worker/models/iris", "--precision", "bfloat16", *ports)
    run = subprocess.run(
        [sys.executable, "-m", "tfleet", "up", *options],
        cwd=ROOT,
        env=users_environment(),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert run.returncode == 2, run.stderr
    assert re.search(r"^Error: worker-\d cannot run: .*bfloat16", run.stderr, re.MULTILINE)
