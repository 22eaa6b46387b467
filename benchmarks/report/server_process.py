"""A server that is measured: its group of processes, their CPU time and memory; it can be stopped and
continued.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Final

from benchmarks.load.form import Form, get, post
from tests.support.environment import users_environment

_START_S = 120.0
_END_S = 30.0
_LOOK_S = 0.1
_NOT_YET = frozenset({0, 502, 503})  # nobody listens; a proxy that knows nobody; one that says so
_QUIET = 0.05  # of a processor
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_GROUP, _USER, _SYSTEM = 2, 11, 12  # fields of /proc/PID/stat after the name


class Server:
    """A running server. It classifies at `url`."""

    def __init__(self, name: str, url: str, process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
        self.name = name
        self.url = url
        self._process = process
        self._log = log

    @property
    def pid(self) -> int:
        """Of its first process."""
        return self._process.pid

    @property
    def resident_bytes(self) -> int:
        """The memory of its first process."""
        pages = Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]
        return int(pages) * resource.getpagesize()

    def ready(self, form: Form) -> bytes:
        """Wait until it classifies; return its first response."""
        return self._until_200(lambda: post(self.url, form))

    def says_ready(self) -> None:
        """Wait until `/readyz` answers 200."""
        self._until_200(lambda: get(f"{self.url}readyz"))

    def _until_200(self, ask: Callable[[], tuple[int, bytes]]) -> bytes:
        deadline_s = time.monotonic() + _START_S
        while True:
            status, body = ask()
            if status == 200:
                return body
            hopeless = status not in _NOT_YET or self._process.poll() is not None
            if hopeless or time.monotonic() > deadline_s:
                raise SystemExit(f"{self.name} did not start: {status} {body[-300:]!r}\n{self._last_words()}")
            time.sleep(_LOOK_S)

    def load(self, over_s: float) -> float:
        """How many CPUs it uses, over this many seconds."""
        began_s, used_s = time.monotonic(), self.cpu_s()
        time.sleep(over_s)
        return (self.cpu_s() - used_s) / (time.monotonic() - began_s)

    def settle(self) -> None:
        """Wait until it has finished the work of the last load."""
        deadline_s = time.monotonic() + _END_S
        while self.load(_LOOK_S) > _QUIET:
            if time.monotonic() > deadline_s:
                raise SystemExit(
                    f"{self.name} is still busy {_END_S:g} s after its load:\n{self._last_words()}"
                )

    def sleep(self) -> None:
        """Pause all its processes (SIGSTOP)."""
        os.killpg(self._process.pid, signal.SIGSTOP)

    def wake(self) -> None:
        """Continue all its processes (SIGCONT)."""
        os.killpg(self._process.pid, signal.SIGCONT)

    def ask_to_stop(self) -> None:
        """Send SIGTERM to its first process."""
        self._process.terminate()

    def end(self) -> None:
        """End all its processes."""
        with contextlib.suppress(ProcessLookupError):
            self.wake()
            self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(_END_S)

    def cpu_s(self) -> float:
        """Seconds of processor time that its processes have used."""
        ticks = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                fields = stat.read_text().rpartition(")")[2].split()
                if int(fields[_GROUP]) == self._process.pid:
                    ticks += int(fields[_USER]) + int(fields[_SYSTEM])
        return ticks / _TICKS_PER_S

    def _last_words(self) -> str:
        return Path(self._log.name).read_text(errors="replace")[-2000:]


@contextlib.contextmanager
def server(name: str, url: str, module: str, arguments: Sequence[str]) -> Iterator[Server]:
    """`python -m module`, in a process group of its own inside the block."""
    with tempfile.NamedTemporaryFile(prefix="tfleet-bench-") as log:
        command = [sys.executable, "-m", module, *arguments]
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env=users_environment(), start_new_session=True
        )
        running = Server(name, url, process, log)
        try:
            yield running
        finally:
            running.end()
