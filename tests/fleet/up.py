"""`tfleet up` as a user starts it: one process, told apart only by what it prints and serves."""

import contextlib
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests

from tests.environment import users_environment
from tests.waiting import eventually_sync

ROOT = Path(__file__).parents[2]
PHOTOS = ROOT / "tests" / "data"
BEST = {
    "cat": ("tiger cat", 0.380),
    "coffee": ("espresso", 0.953),
    "rocket": ("missile", 0.301),
    "hopper": ("academic gown", 0.237),
}
"""What the default model says of each photograph, and how sure it is."""

PROXY = "http://localhost:12480"
_START_S = 90.0
_STOP_S = 60.0


class Up:
    """A running `tfleet up` on the default port, which the documented command lines name."""

    def __init__(self, process: subprocess.Popen[bytes], output: Path) -> None:
        self.process = process
        self._output = output

    @property
    def said(self) -> str:
        """All that it has printed, on both streams."""
        return self._output.read_text(errors="replace")

    def workers(self) -> list[dict[str, Any]]:
        """The proxy's table."""
        rows: list[dict[str, Any]] = requests.get(f"{PROXY}/workers", timeout=10).json()["workers"]
        return rows

    def ready(self) -> int:
        """How many workers are ready; 0 while nobody answers."""
        assert self.process.poll() is None, f"it ended: {self.said}"
        try:
            return sum(row["state"] == "ready" for row in self.workers())
        except requests.ConnectionError:
            return 0

    def pids(self, command: str = "") -> set[int]:
        """Its child processes; those of one `tfleet` command only, where one is named."""
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return {pid for pid in map(int, listed.split()) if not command or command in _arguments(pid)}

    def stop(self, signum: int = signal.SIGTERM) -> int:
        """Ask it to stop; its exit code."""
        self.process.send_signal(signum)
        return self.process.wait(_STOP_S)


@contextlib.contextmanager
def up(*options: str, workers: int = 2) -> Iterator[Up]:
    """A fleet whose workers are all ready, stopped at the end."""
    command = [sys.executable, "-m", "tfleet", "up", "--workers", str(workers), *options]
    with tempfile.NamedTemporaryFile(prefix="tfleet-up-") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=ROOT, env=users_environment())
        running = Up(process, Path(output.name))
        try:
            eventually_sync(running.ready, wanted=lambda ready: ready == workers, timeout_s=_START_S)
            yield running
        finally:
            if process.poll() is None:
                running.stop()


def curl(line: str, *, cwd: Path = PHOTOS) -> str:
    """What a command line with curl prints, run by a shell as it stands."""
    run = subprocess.run(
        ["bash", "-c", line], cwd=cwd, capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def _arguments(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except FileNotFoundError:
        return []
