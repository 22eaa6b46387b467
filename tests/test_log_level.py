"""`--log-level`, for every command that logs: processes, and what they write to standard error."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests

from tests.support.canned_server import nobody
from tests.support.environment import users_environment
from tests.support.waiting import eventually_sync

pytestmark = pytest.mark.process


PROXY = ("proxy", "--registry", "static:127.0.0.1:1")
LISTENERS = (*PROXY, "--listeners", "2")
WORKER = ("worker", "--registry", "static:")
PROBES = ("/healthz", "/readyz", "/metrics")


@contextmanager
def started(*command: str) -> Iterator[tuple[str, list[dict[str, object]]]]:
    """A command that answers at the URL; after the block, its log's lines are in the list."""
    url, lines = f"http://127.0.0.1:{(port := nobody().port)}", list[dict[str, object]]()
    argv = [sys.executable, "-m", "tfleet", *command, "--port", str(port), "--log-format", "json"]
    process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, env=users_environment())

    def answers() -> bool:
        try:
            return requests.get(f"{url}/healthz", timeout=5).status_code > 0
        except requests.ConnectionError:
            return False

    try:
        eventually_sync(answers)
        yield url, lines
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=30)
        lines += map(json.loads, said.splitlines())
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("command", [PROXY, LISTENERS, pytest.param(WORKER)], ids=lambda c: c[0])
def test_probes_are_logged_at_debug(command: tuple[str, ...]) -> None:
    with started(*command, "--log-level", "debug") as (url, lines):
        for path in PROBES:
            requests.get(url + path, timeout=5)
    levels = {line["path"]: line["level"] for line in lines if line["event"] == "request"}
    assert levels == dict.fromkeys(PROBES, "debug")


@pytest.mark.parametrize("command", [PROXY, LISTENERS, pytest.param(WORKER)], ids=lambda c: c[0])
def test_otherwise_probes_leave_no_lines(command: tuple[str, ...]) -> None:
    with started(*command) as (url, lines):
        for path in PROBES:
            requests.get(url + path, timeout=5)
    assert lines
    assert {line["level"] for line in lines} <= {"info", "warning"}
    assert not [line for line in lines if line["event"] == "request"]


@pytest.mark.parametrize("command", [PROXY, ("registry",)], ids=lambda c: c[0])
def test_lines_below_the_level_are_left_out(command: tuple[str, ...]) -> None:
    with started(*command, "--log-level", "error") as (_, lines):
        pass
    assert lines == []
