from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from click.testing import CliRunner

from tfleet.discovery.cli import registry

pytestmark = pytest.mark.process


_PROGRAM = "from tfleet.discovery.cli import registry; registry(auto_envvar_prefix='TFLEET_REGISTRY')"


@contextmanager
def _started(*options: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process and the address that its first line says."""
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, *options],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )
    try:
        assert process.stderr
        line = json.loads(process.stderr.readline())
        assert line["event"] == "registry listening"
        yield process, line["address"]
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_listens_where_it_says_and_ends_quickly_with_0(signum: signal.Signals) -> None:
    with _started("--port=0", "--log-format=json") as (process, address):
        with urllib.request.urlopen(f"http://{address}/v1/status/leader", timeout=10) as answer:
            assert json.load(answer) == address
        host, _, port = address.rpartition(":")
        # A blocking query is in the way of no end.
        held = socket.create_connection((host, int(port)), timeout=10)
        with held:
            held.sendall(b"GET /v1/health/service/n?index=99999999999999 HTTP/1.1\r\nHost: x\r\n\r\n")
            started = time.monotonic()
            process.send_signal(signum)
            assert process.wait(10) == 0
            assert time.monotonic() - started < 8, "and not after five minutes"
        assert process.stderr
        assert process.stderr.read() == ""


def test_options_come_from_the_environment_as_well() -> None:
    with _started(TFLEET_REGISTRY_PORT="0", TFLEET_REGISTRY_LOG_FORMAT="json") as (_, address):
        assert address.startswith("127.0.0.1:")


def test_a_public_name_is_accepted_where_it_is_allowed() -> None:
    with _started("--port=0", "--log-format=json", "--allow-host=registry.example.com") as (_, address):
        for name, status in (("registry.example.com", 200), ("evil.example.com", 403)):
            connection = http.client.HTTPConnection(address, timeout=10)
            connection.request("GET", "/v1/agent/services", headers={"Host": name})
            assert connection.getresponse().status == status
            connection.close()


def _stderr_of_refusal(*options: str) -> list[str]:
    run = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *options], capture_output=True, text=True, timeout=20, check=False
    )
    assert run.returncode == 2
    return run.stderr.splitlines()


def test_taken_port_is_one_clear_line_and_exit_code_2() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        lines = _stderr_of_refusal(f"--port={port}")
    assert lines == [f"Error: cannot listen on 127.0.0.1:{port}: Address already in use"]


def test_an_unknown_host_is_one_line_and_exit_code_2() -> None:
    (line,) = _stderr_of_refusal("--host=nowhere.invalid", "--port=0")
    assert line.startswith("Error: cannot listen on nowhere.invalid:0: ")


def test_help_shows_an_example() -> None:
    run = CliRunner().invoke(registry, ["--help"])
    assert run.exit_code == 0
    for words in (
        "12481",
        "tfleet worker --registry consul://",
        "consul catalog services",
    ):
        assert words in run.output


@pytest.mark.parametrize("options", [["--port=-1"], ["--port=65536"], ["--log-format=xml"]])
def test_wrong_option_is_exit_code_2(options: list[str]) -> None:
    assert CliRunner().invoke(registry, options).exit_code == 2
