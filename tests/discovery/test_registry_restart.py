"""`tfleet registry` as a process: what it has acknowledged is there after kill -9, and watches go on."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
import requests

from tests.support.canned_server import nobody
from tests.support.environment import users_environment
from tests.support.tfleet_up import ROOT
from tests.support.waiting import eventually, eventually_sync
from tfleet.contract.address import Address
from tfleet.discovery.consul.key_values import ConsulKeyValues
from tfleet.discovery.embedded.key_value_format import parse_key_values
from tfleet.discovery.plan import Canary, Plan, dump_plan, plan_key
from tfleet.discovery.plan_watch import Plans, PlanWatch

pytestmark = pytest.mark.process

PROGRAM = (sys.executable, "-m", "tfleet", "registry", "--log-format", "json")
_WRITERS = 4
_ACKNOWLEDGED = 25


class Registry:
    """A `tfleet registry` that is started again and again on one port, with one folder."""

    def __init__(self, folder: Path, *, environment: dict[str, str] | None = None) -> None:
        self.address: Address = nobody()
        self.folder = folder
        self.environment = environment or users_environment()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def file(self) -> Path:
        return self.folder / "keys.json"

    def start(self, *options: str) -> None:
        """Start it and wait until it answers."""
        options = (*options, "--port", str(self.address.port))
        with (self.folder.parent / "log").open("ab") as log:
            self.process = subprocess.Popen([*PROGRAM, *options], stderr=log, env=self.environment)
        eventually_sync(self._answers)

    def kill(self, number: int = signal.SIGKILL) -> None:
        assert self.process
        self.process.send_signal(number)
        self.process.wait(30)

    def log(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in (self.folder.parent / "log").read_text().splitlines()]

    def keys(self) -> dict[str, bytes]:
        """All keys, as another program reads them."""
        url = f"{self.address.url}/v1/kv/"
        names = requests.get(f"{url}?keys", timeout=10).json()
        return {name: requests.get(f"{url}{name}?raw", timeout=10).content for name in names}

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.address.url}/v1/status/leader", timeout=10).ok
        except requests.ConnectionError:
            return False


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    running = Registry(tmp_path / "data")
    yield running
    if running.process is not None and running.process.poll() is None:
        running.kill()


class Writers:
    """Threads that each count up a key of their own until the registry is gone."""

    def __init__(self, registry: Address, first: int) -> None:
        self.acknowledged = dict.fromkeys((f"n{number}" for number in range(_WRITERS)), first)
        self._url = registry.url
        self._threads = [threading.Thread(target=self._write, args=(key,)) for key in self.acknowledged]

    def start(self) -> None:
        """Begin, and wait until several writes are acknowledged."""
        before = sum(self.acknowledged.values())
        for thread in self._threads:
            thread.start()
        eventually_sync(lambda: sum(self.acknowledged.values()) > before + _ACKNOWLEDGED)

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _write(self, key: str) -> None:
        with requests.Session() as session, contextlib.suppress(requests.ConnectionError):
            while True:
                number = self.acknowledged[key] + 1
                body = f"{number} ".encode() * 2_000
                assert session.put(f"{self._url}/v1/kv/{key}", data=body, timeout=10).ok
                self.acknowledged[key] = number


def number_in(value: bytes) -> int:
    """The number of a written value, all of which is there."""
    first = value.split()[0]
    assert value == (first + b" ") * 2_000
    return int(first)


def test_what_was_acknowledged_survives_kill_9(registry: Registry) -> None:
    first = 0
    for _ in range(5):
        registry.start("--registry-data-dir", str(registry.folder))
        writers = Writers(registry.address, first)
        writers.start()
        registry.kill()
        writers.join()
        parse_key_values(registry.file.read_bytes())
        registry.start("--registry-data-dir", str(registry.folder))
        found = {key: number_in(value) for key, value in registry.keys().items()}
        assert found.keys() == writers.acknowledged.keys()
        for key, number in writers.acknowledged.items():
            # The last one may have been saved, and its answer lost.
            assert number <= found[key] <= number + 1
        first = max(found.values())
        registry.kill()


def test_a_fleet_without_plans_leaves_no_files(tmp_path: Path) -> None:
    environment = users_environment()
    registry = Registry(tmp_path / "data", environment=environment)
    registry.start()
    registry.kill(signal.SIGTERM)
    assert not Path(environment["XDG_STATE_HOME"]).exists()


def test_by_default_keys_are_saved_for_the_port(tmp_path: Path) -> None:
    environment = users_environment()
    registry = Registry(tmp_path / "data", environment=environment)
    registry.start()
    requests.put(f"{registry.address.url}/v1/kv/k", data=b"x", timeout=10)
    registry.kill(signal.SIGTERM)
    folder = Path(environment["XDG_STATE_HOME"]) / "tfleet" / f"registry-{registry.address.port}"
    assert [path.name for path in folder.iterdir()] == ["keys.json"]
    registry.start()
    assert registry.keys() == {"k": b"x"}
    registry.kill()


def test_in_memory_nothing_is_saved_and_the_log_says_so(registry: Registry) -> None:
    registry.start("--registry-data-dir", "memory")
    requests.put(f"{registry.address.url}/v1/kv/k", data=b"x", timeout=10)
    (line,) = [line for line in registry.log() if line["level"] == "warning"]
    assert line["event"] == "the registry's keys are in memory only"
    registry.kill()
    registry.start("--registry-data-dir", "memory")
    assert registry.keys() == {}


def test_an_unusable_file_is_one_line_and_exit_code_2(registry: Registry) -> None:
    registry.folder.mkdir()
    registry.file.write_text("{")
    run = refused("registry", registry.folder)
    assert run.stderr == (
        f"Error: {registry.file} is damaged: it is not JSON: restore a copy of it, or move it away to start "
        "without keys\n"
    )
    run = refused("proxy", registry.folder)
    assert run.stderr.startswith(f"tfleet proxy: {registry.file} is damaged: ")
    run = refused("proxy", registry.folder, "--listeners", "2")
    assert run.stderr.splitlines()[-1].startswith(f"tfleet proxy: {registry.file} is damaged: ")


def test_a_folder_in_use_is_one_line_and_exit_code_2(registry: Registry) -> None:
    registry.folder.mkdir()
    registry.start("--registry-data-dir", str(registry.folder))
    run = refused("registry", registry.folder)
    assert run.stderr == (
        f"Error: another registry uses {registry.folder}: stop it, or choose another folder with "
        "--registry-data-dir\n"
    )
    run = refused("up", registry.folder, "--model", str(ROOT / "worker" / "models" / "iris"))
    assert run.stderr.splitlines()[-1] == (
        f"Error: registry cannot run: another registry uses {registry.folder}: stop it, or choose another "
        "folder with --registry-data-dir"
    )


def refused(command: str, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """A program that can't start."""
    port = "--port" if command == "registry" else "--registry-port"
    argv = [sys.executable, "-m", "tfleet", command, port, str(nobody().port), *options]
    if command != "registry":
        argv += ["--port", "0"]
    environment = users_environment() | {"TFLEET_REGISTRY_DATA_DIR": str(folder)}
    run = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert run.returncode == 2, run.stderr
    return run


def test_a_write_that_cannot_be_saved_is_500_and_one_line(registry: Registry) -> None:
    folder = registry.folder / "deep"
    registry.start("--registry-data-dir", str(folder))
    registry.folder.touch()  # a file is where a folder has to be made
    answer = requests.put(f"{registry.address.url}/v1/kv/k", data=b"x", timeout=10)
    said = f"the keys can't be saved in {folder}: Not a directory: nothing has changed"
    assert (answer.status_code, answer.text) == (500, said)
    assert registry.keys() == {}
    registry.folder.unlink()
    assert requests.put(f"{registry.address.url}/v1/kv/k", data=b"x", timeout=10).text.strip() == "true"
    assert registry.keys() == {"k": b"x"}


@contextlib.asynccontextmanager
async def followed(registry: Address) -> AsyncIterator[list[Plans]]:
    """All plans that a proxy's watch tells."""
    told: list[Plans] = []
    store = ConsulKeyValues(registry, wait_s=30)
    task = asyncio.ensure_future(PlanWatch(store, "tfleet", told.append).run())
    try:
        yield told
    finally:
        task.cancel()
        await asyncio.wait([task])
        await store.close()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_a_watch_goes_on_after_a_restart(registry: Registry, number: int) -> None:
    key = plan_key("tfleet", "m")
    before, after = Plan("1", Canary("2", 10.0)), Plan("2", previous="1")
    start = ("--registry-data-dir", str(registry.folder))
    await asyncio.to_thread(registry.start, *start)
    async with aiohttp.ClientSession() as session:

        async def put(plan: Plan) -> None:
            async with session.put(f"{registry.address.url}/v1/kv/{key}", data=dump_plan(plan)) as answer:
                assert (await answer.text()).strip() == "true"

        async def index() -> int:
            async with session.get(f"{registry.address.url}/v1/kv/{key}?recurse") as answer:
                return int(answer.headers["X-Consul-Index"])

        await put(before)
        async with followed(registry.address) as told:

            async def last() -> Plans:
                return told[-1] if told else Plans()

            await eventually(last, wanted=lambda plans: plans == Plans({"m": before}))
            known = await index()
            await asyncio.to_thread(registry.kill, number)
            await asyncio.to_thread(registry.start, *start)
            assert await index() == known, "nothing has changed, so nobody has to read it again"
            await put(after)
            await eventually(last, wanted=lambda plans: plans == Plans({"m": after}))
            assert await index() > known
            assert told == [Plans({"m": before}), Plans({"m": after})]
