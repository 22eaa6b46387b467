import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.waiting import eventually_sync
from tests.worker.decoders.pools import MIB, Make, Scene, ended
from tests.worker.decoders.program import COMMAND
from tfleet.worker.decoders import PoolLimits

pytestmark = pytest.mark.process


def test_a_decoder_has_its_limits(make: Make) -> None:
    limits = PoolLimits(1, 1, decode_timeout_s=30, address_space_bytes=500 * MIB)
    facts = make(limits, nice=3).run("facts").header
    assert facts["address_space_bytes"] == 500 * MIB
    assert facts["core_bytes"] == 0
    assert facts["oom_score_adj"] == 1000
    assert facts["nice"] == os.nice(0) + 3


def test_a_decoders_libraries_have_one_thread(scene: Scene) -> None:
    environment = scene.run("facts").header["environment"]
    assert environment["OPENBLAS_NUM_THREADS"] == environment["OMP_NUM_THREADS"] == "1"
    assert environment["PATH"] == os.environ["PATH"]


def test_a_decoder_inherits_only_its_socket(scene: Scene) -> None:
    """Three standard ones, the socket and the lifeline."""
    with Path(__file__).open():
        assert scene.run("facts").header["descriptors"] == 5


def test_a_decoder_has_its_own_process_group(scene: Scene) -> None:
    facts = scene.run("facts").header
    assert facts["session"] == os.getsid(0)
    assert facts["group"] == facts["pid"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_decoder_ends_when_the_worker_closes_its_socket(scene: Scene, number: signal.Signals) -> None:
    """Service managers send these to all processes of a service at once."""
    pid = scene.run("echo").header["pid"]
    os.kill(pid, number)
    assert scene.run("echo").header["pid"] == pid


@pytest.mark.parametrize("function", ["sleep", "burn"])
def test_a_decoder_ends_with_a_killed_worker(function: str, tmp_path: Path) -> None:
    started = tmp_path / "started"
    command = [sys.executable, "-m", "tests.worker.decoders.killed_worker", str(started), function]
    with subprocess.Popen(command, cwd=Path(__file__).parents[3]) as worker:
        pid = int(eventually_sync(lambda: started.read_text() if started.exists() else ""))
        assert not ended(pid)
        worker.kill()
    eventually_sync(lambda: ended(pid), timeout_s=5)


def test_a_decoder_started_by_hand_explains_itself() -> None:
    done = subprocess.run(COMMAND, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (1, "this program is started by a worker, not by hand\n")
