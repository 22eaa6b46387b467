"""`tfleet up` as a user starts it: one process, told apart only by what it prints and serves."""

import contextlib
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import requests

from tests.support.canned_server import nobody
from tests.support.environment import users_environment
from tests.support.waiting import eventually_sync
from tfleet.contract.address import Address
from tfleet.contract.names import PROXY_PORT, REGISTRY_PORT

ROOT = Path(__file__).parents[2]
PHOTOS = ROOT / "tests" / "data"
BEST = {
    "cat": ("tiger cat", 0.380),
    "coffee": ("espresso", 0.953),
    "rocket": ("missile", 0.301),
    "hopper": ("academic gown", 0.237),
}
"""What the default model says of each photograph, and how sure it is."""

PORTS = (PROXY_PORT, REGISTRY_PORT)
"""The default ones, which the documented command lines name. One fleet at a time can have them."""

_START_S = 90.0
_STOP_S = 60.0


class Up:
    """A running `tfleet up`."""

    def __init__(self, process: subprocess.Popen[bytes], output: Path, proxy: Address) -> None:
        self.process = process
        self.proxy = proxy
        self.url = f"http://localhost:{proxy.port}"
        self._output = output

    @property
    def said(self) -> str:
        """All that it has printed, on both streams."""
        return self._output.read_text(errors="replace")

    def workers(self) -> list[dict[str, Any]]:
        """The proxy's table."""
        rows: list[dict[str, Any]] = requests.get(f"{self.url}/workers", timeout=10).json()["workers"]
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

    def own(self, line: str) -> str:
        """A documented line with this fleet's port in it: as it stands, if that is the default one."""
        return line.replace(f"localhost:{PROXY_PORT}", f"localhost:{self.proxy.port}")

    def curl(self, line: str) -> str:
        """What a documented line prints."""
        return curl(self.own(line))

    def tfleet(self, arguments: str) -> str:
        """What a command prints that asks this fleet: unasked, if it is on the default ports."""
        proxy = "" if self.proxy.port == PROXY_PORT else f"TFLEET_PROXY={self.url} "
        return curl(f"{proxy}{sys.executable} -m tfleet {arguments}")

    def stop(self, signum: int = signal.SIGTERM) -> int:
        """Ask it to stop; its exit code."""
        self.process.send_signal(signum)
        return self.process.wait(_STOP_S)


@contextlib.contextmanager
def up(
    *options: str,
    workers: int = 2,
    models: Path | None = None,
    ports: tuple[int, int] | None = None,
    cwd: Path = ROOT,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Up]:
    """A fleet whose workers are all ready, stopped at the end; on free ports, unless told.

    With `models` these workers serve what is in that folder. Without an `environment` it has that of a user.
    """
    proxy, registry = ports or (nobody().port, nobody().port)
    what = ("--workers", str(workers)) if models is None else ("--models", str(models))
    command = [sys.executable, "-m", "tfleet", "up", *what, *options]
    if (proxy, registry) != PORTS:
        command += ["--port", str(proxy), "--registry-port", str(registry)]
    with tempfile.NamedTemporaryFile(prefix="tfleet-up-") as output:
        env = users_environment() if environment is None else environment
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=cwd, env=env)
        running = Up(process, Path(output.name), Address("127.0.0.1", proxy))
        try:
            eventually_sync(running.ready, wanted=lambda ready: ready == workers, timeout_s=_START_S)
            yield running
        finally:
            if process.poll() is None:
                running.stop()


def ports_with(registry: str) -> tuple[int, int] | None:
    """For tests that run with both registries: the fleet with the embedded one has the default ports."""
    return PORTS if registry == "embedded" else None


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
    except (FileNotFoundError, ProcessLookupError):  # it has just ended
        return []
