"""`tfleet worker` as a process of its own."""

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import requests

from tests.support.waiting import eventually_sync
from tfleet.contract.address import Address

COMMAND = (sys.executable, "-m", "tfleet", "worker", "--log-format", "json")


class Worker:
    """A running worker and what it has logged."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log lines of one event, oldest first."""
        text = self._log.read_text()
        lines = text[: text.rfind("\n") + 1].splitlines()
        # TensorFlow's own warnings stand between the lines of the log.
        events = (json.loads(line) for line in lines if line.startswith("{"))
        return [event for event in events if event["event"] == name]

    def wait_for(self, name: str) -> dict[str, Any]:
        """The first log line of an event. Fails if the process ends before."""

        def look() -> list[dict[str, Any]]:
            found = self.events(name)
            assert found or self.process.poll() is None, self._log.read_text()
            return found

        return eventually_sync(look, timeout_s=60)[0]

    def address(self) -> Address:
        """Where it listens, as soon as that is known."""
        return Address.parse(self.wait_for("worker starting")["address"])

    def ready(self) -> bool:
        return requests.get(f"{self.address().url}/readyz", timeout=10).ok


@contextlib.contextmanager
def worker_process(
    *options: str, environment: Mapping[str, str] | None = None, command: Sequence[str] = COMMAND
) -> Iterator[Worker]:
    """A worker that is starting; ended with the block. Without an `environment` it has the test's."""
    with tempfile.NamedTemporaryFile(prefix="tfleet-worker-") as log:
        process = subprocess.Popen([*command, *options], stdout=log, stderr=log, env=environment)
        try:
            yield Worker(process, Path(log.name))
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(30)
