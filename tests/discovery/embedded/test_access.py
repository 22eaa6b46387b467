"""A registry that asks for a token, on a real socket, and all who ask it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.discovery.embedded.calls import call
from tests.support.canned_server import nobody
from tests.support.embedded_registry import embedded_registry
from tests.support.waiting import eventually_sync
from tfleet.contract.address import Address
from tfleet.discovery.consul.access import Access
from tfleet.discovery.consul.agent import ConsulAgent
from tfleet.discovery.consul.health import ConsulHealth
from tfleet.discovery.consul.reachability_check import ConsulAddressCheck
from tfleet.discovery.embedded.access import Token
from tfleet.discovery.errors import RegistryRefusedError
from tfleet.discovery.instance import Instance

pytestmark = pytest.mark.process


REGISTER = "/v1/agent/service/register"
DEREGISTER = "/v1/agent/service/deregister/w1"
SERVICES = "/v1/agent/services"
SERVICE = json.dumps({"Name": "tfleet", "ID": "w1", "Port": 80})
RIGHT = {"X-Consul-Token": "s3cret"}
MISSING = (
    "Permission denied: this registry requires a token: use --registry-token-file FILE, or set "
    "CONSUL_HTTP_TOKEN_FILE"
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("s3cret\n")
    return path


@pytest.fixture
def registry(file: Path) -> Iterator[Address]:
    with embedded_registry(access=Access(token_file=file)) as address:
        yield address


def registered(registry: Address) -> list[str]:
    return list(json.loads(call(registry, "GET", SERVICES, RIGHT)[1]))


@pytest.mark.parametrize("headers", [RIGHT, {"Authorization": "Bearer s3cret"}])
def test_the_right_token_may_register(registry: Address, headers: Mapping[str, str]) -> None:
    assert call(registry, "PUT", REGISTER, headers, SERVICE)[0] == 200
    assert registered(registry) == ["w1"]


@pytest.mark.parametrize(
    "headers", [{}, {"X-Consul-Token": ""}, {"Authorization": "Basic s3cret"}, {"Authorization": "Bearer "}]
)
def test_without_a_token_every_request_is_refused(registry: Address, headers: Mapping[str, str]) -> None:
    call(registry, "PUT", REGISTER, RIGHT, SERVICE)
    for method, path in (("GET", SERVICES), ("PUT", DEREGISTER), ("PUT", REGISTER), ("GET", "/nowhere")):
        assert call(registry, method, path, headers, SERVICE) == (403, MISSING)
    assert registered(registry) == ["w1"]


@pytest.mark.parametrize("token", ["s3cre", "s3cret0", "\xe9"])
def test_a_wrong_token_gets_consuls_error(registry: Address, token: str) -> None:
    status, text = call(registry, "PUT", DEREGISTER, {"X-Consul-Token": token})
    assert status == 403
    assert text.startswith("ACL not found: ")
    assert "--registry-token-file" in text


def test_a_changed_token_file_is_used_from_then_on(registry: Address, file: Path) -> None:
    file.write_text("an0ther\n")
    new = {"X-Consul-Token": "an0ther"}
    eventually_sync(lambda: call(registry, "GET", SERVICES, new)[0] == 200)
    eventually_sync(lambda: call(registry, "GET", SERVICES, RIGHT)[0] == 403)


async def test_concurrent_requests_with_a_new_token_are_accepted(file: Path) -> None:
    now_s = 0.0
    token = await asyncio.to_thread(Token, Access(token_file=file), lambda: now_s)
    for number in range(20):
        await asyncio.to_thread(file.write_text, f"new{number}\n")
        now_s += 0.2
        new = {"X-Consul-Token": f"new{number}"}
        await asyncio.gather(*(token.check(new.get) for _ in range(5)))


def test_a_hundred_hanging_lookups_delay_no_other(file: Path) -> None:
    release, hanging = threading.Event(), threading.Event()

    def look_up(_host: str, _port: int) -> list[str]:
        hanging.set()
        release.wait()
        return []

    with embedded_registry(access=Access(token_file=file), look_up=look_up) as registry:
        try:
            for number in range(100):
                check = {"HTTP": f"http://n{number}.test/", "Interval": "60s", "Timeout": "60s"}
                body = json.dumps({"Name": "n", "ID": f"n{number}", "Check": check})
                assert call(registry, "PUT", REGISTER, RIGHT, body)[0] == 200
            assert hanging.wait(timeout=10)
            file.write_text("an0ther\n")  # which is read in a thread
            new = {"X-Consul-Token": "an0ther"}
            eventually_sync(lambda: call(registry, "GET", SERVICES, new)[0] == 200)
        finally:
            release.set()


def test_a_worker_with_the_token_registers_and_is_tested(registry: Address, file: Path) -> None:
    worker = Instance("w1", nobody())
    access = Access(token_file=file)
    agent = ConsulAgent(registry, "tfleet", ttl_s=10.0, access=access)
    agent.register(worker)
    assert registered(registry) == ["w1"]
    check = ConsulAddressCheck(registry, "tfleet", access)
    name = check.begin(worker)
    finding = eventually_sync(lambda: check.finding(name))
    assert finding is not None
    assert finding.error.endswith("connection refused")
    check.end(name)


def test_a_worker_without_a_token_logs_what_to_set(registry: Address) -> None:
    with pytest.raises(RegistryRefusedError) as refusal:
        ConsulAgent(registry, "tfleet", ttl_s=10.0).register(Instance("w1", nobody()))
    assert str(refusal.value).endswith(MISSING)


@pytest.mark.parametrize("shown", [True, False])
async def test_a_proxy_with_the_token_sees_the_workers(registry: Address, file: Path, *, shown: bool) -> None:
    health = ConsulHealth(registry, wait_s=1.0, access=Access(token_file=file) if shown else None)
    try:
        if shown:
            assert (await health.service("tfleet", 0, 0.0)).instances == ()
        else:
            with pytest.raises(RegistryRefusedError, match="--registry-token-file"):
                await health.service("tfleet", 0, 0.0)
    finally:
        await health.close()


@pytest.mark.parametrize(("options", "code"), [(["--registry-token-file", "FILE"], 0), ([], 1)])
def test_prune_uses_the_token(registry: Address, file: Path, options: list[str], code: int) -> None:
    said = [str(file) if option == "FILE" else option for option in options]
    run = tfleet("prune", "--dry-run", "--registry", f"consul://{registry}", *said)
    assert run.returncode == code, run.stderr
    assert ("--registry-token-file" in run.stderr) == (code != 0)


@pytest.mark.parametrize(
    ("command", "content"),
    [("registry", None), ("registry", ""), ("registry", "two words"), ("proxy", None), ("up", None)],
)
def test_a_file_without_a_token_is_one_line(tmp_path: Path, command: str, content: str | None) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_text(content)
    run = tfleet(command, "--registry-token-file", str(path))
    assert run.returncode == 2
    assert f"--registry-token-file={path}: " in run.stderr.splitlines()[-1]


def tfleet(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tfleet", *arguments], capture_output=True, text=True, timeout=60, check=False
    )
