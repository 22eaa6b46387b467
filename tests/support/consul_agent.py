"""A real Consul agent for tests: in memory, on free ports of loopback, ended with the test."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.free_ports import free_ports
from tfleet.contract.address import Address

_READY_TIMEOUT_S = 30.0
_POLL_S = 0.05
_STOP_TIMEOUT_S = 10.0
# A free port may be somebody else's by the time Consul binds it.
_ATTEMPTS = 3


class ConsulDidNotStartError(Exception):
    """The agent ended, or did not serve in time. The message holds its output."""


def consul_binary() -> str:
    """The path of the program. Without it, the test is skipped; in CI it fails."""
    binary = shutil.which("consul")
    if binary:
        return binary
    reason = "there is no consul on the PATH"
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason}, and CI may not skip this")
    pytest.skip(reason)


@dataclass(frozen=True, slots=True)
class ConsulAgent:
    """A running agent: where its HTTP API is, and the process, for a test that stops or kills it."""

    address: Address
    process: subprocess.Popen[bytes]


@contextmanager
def consul_agent(
    *, http_port: int | None = None, config: Path | None = None, token: str = ""
) -> Iterator[ConsulAgent]:
    """Start an agent, wait until it leads and serves, yield it, end it.

    Its HTTP API is on any free port unless told: an agent that follows a killed one takes its port. A
    `config` is what it has beside that, and `token` one that may read.
    """
    binary = consul_binary()
    more = () if config is None else (f"-config-file={config}",)
    with tempfile.TemporaryDirectory(prefix="tfleet-consul-") as folder, ExitStack() as running:
        yield _start(binary, Path(folder), http_port, more, token, running)


def _start(
    binary: str, folder: Path, http_port: int | None, more: tuple[str, ...], token: str, running: ExitStack
) -> ConsulAgent:
    for _ in range(_ATTEMPTS - 1):
        with suppress(ConsulDidNotStartError):
            return running.enter_context(_process(binary, folder, http_port, more, token))
    return running.enter_context(_process(binary, folder, http_port, more, token))


@contextmanager
def _process(
    binary: str, folder: Path, http_port: int | None, more: tuple[str, ...], token: str
) -> Iterator[ConsulAgent]:
    free, server, serf_lan, serf_wan = free_ports(4)
    http = http_port or free
    output = folder / "output"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [
                *(binary, "agent", "-dev", "-node=tfleet-test", "-bind=127.0.0.1", "-client=127.0.0.1"),
                *(f"-http-port={http}", f"-server-port={server}", "-dns-port=-1", "-grpc-port=-1"),
                *(f"-serf-lan-port={serf_lan}", f"-serf-wan-port={serf_wan}", "-log-level=err"),
                *("-hcl", "disable_update_check = true", *more),
            ],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        address = Address("127.0.0.1", http)
        deadline = time.monotonic() + _READY_TIMEOUT_S
        while not serves(address, token):
            if process.poll() is not None or time.monotonic() > deadline:
                raise ConsulDidNotStartError(output.read_text(errors="replace"))
            time.sleep(_POLL_S)
        yield ConsulAgent(address, process)
    finally:
        process.send_signal(signal.SIGCONT)  # where a test has stopped it
        process.terminate()
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def serves(address: Address, token: str = "") -> bool:
    """Whether the agent knows a leader, and servers in its catalog."""
    url = f"{address.url}/v1/health/service/consul?passing"
    try:
        request = urllib.request.Request(url, headers={"X-Consul-Token": token} if token else {})
        with urllib.request.urlopen(request, timeout=2) as answer:
            return bool(json.load(answer))
    except (OSError, ValueError):  # urllib's errors are OSErrors, half an answer is a ValueError
        return False
