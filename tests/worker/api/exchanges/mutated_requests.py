"""Damaged requests below /v1 and /v2 to workers and through a proxy, all of them real processes.

    python -m tests.worker.api.exchanges.mutated_requests --requests 50000

Half go to the workers, half through the proxy. Each is answered with a status that docs/reference/http-api.md
names, and with JSON where it is an error; good requests among them are answered right; and no process grows.
What breaks that ends the program with a line that says how to repeat it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import requests

from tests.support.canned_server import nobody
from tests.support.fleet_processes import registry_process
from tests.support.forked_workers import forked_workers
from tests.support.memory import resident_bytes_of
from tests.support.proxy_process import together
from tests.support.waiting import eventually_sync
from tests.worker.api.exchanges.model import NAME
from tests.worker.api.exchanges.mutations import IMAGES, RequestMutator
from tests.worker.api.exchanges.ways import Answer, Way
from tfleet.contract.address import Address
from tfleet.worker.memory import LARGE_BYTES

_PAGE: Final = Path(__file__).parents[4] / "docs" / "reference" / "http-api.md"
_ROW: Final = re.compile(r"^\| (\d{3}[^|]*) \|", re.MULTILINE)
_OK: Final = 200
_FAULTS: Final = 500
_EVERY: Final = 50
"""So many damaged requests, then a good one."""
_STEPS: Final = 10
"""After each tenth of the requests the memory is looked at. After the first one its pools are full."""
_WINDOW: Final = slice(1, 4)
"""The least memory after these steps is what the processes need; what costly bodies leave comes and goes."""
_TRIM_S: Final = 30.0
"""A worker returns free memory two seconds after the last large body. On a busy machine that takes longer."""
_MOST_GROWTH: Final = 32 * 2**20
_MOST_S: Final = 20.0


class WrongAnswerError(Exception):
    """An answer that no request may get. The message says which request got it."""


@dataclass(frozen=True, slots=True)
class Running:
    """Two workers by their models, and a proxy, each with the id of its process."""

    workers: Mapping[str, Address]
    proxy: Address
    pids: Mapping[str, int]

    def bytes(self) -> dict[str, int]:
        """What each has in memory."""
        return {name: resident_bytes_of(pid) for name, pid in self.pids.items()}


@dataclass
class Found:
    """What a way has answered."""

    statuses: Counter[int] = field(default_factory=Counter)
    good: int = 0
    longest_s: float = 0.0


def documented() -> frozenset[int]:
    """The statuses of the page that blame the request; and 200."""
    text = _PAGE.read_text().partition("\n## Errors\n")[2].partition("\n### ")[0]
    found = {int(status) for row in _ROW.findall(text) for status in re.findall(r"\b[1-5]\d\d\b", row)}
    return frozenset({_OK, *(status for status in found if status < _FAULTS)})


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Running]:
    """A worker of each model, and a proxy, ready for requests."""
    registry = nobody()
    options = ("--registry", f"consul://{registry}")
    with contextlib.ExitStack() as stack:
        forked = stack.enter_context(forked_workers())
        stack.enter_context(registry_process(registry))
        models = {
            NAME: forked.write_model(folder / NAME / "1", f"{__package__}.model.write_types"),
            IMAGES: forked.write_model(folder / IMAGES / "1"),
        }
        workers = {
            name: stack.enter_context(forked.worker("--model", str(path), "--model-name", name, *options))
            for name, path in models.items()
        }
        proxy = stack.enter_context(together(*options, listeners=1))
        addresses = {name: worker.address() for name, worker in workers.items()}
        for worker in workers.values():
            eventually_sync(worker.ready, timeout_s=60)
        eventually_sync(lambda: all(map(_is_ready, _pages(proxy.address))), timeout_s=60)
        pids = {name: worker.process.pid for name, worker in workers.items()}
        yield Running(addresses, proxy.address, {**pids, "proxy": proxy.process.pid})


def _pages(proxy: Address) -> Sequence[str]:
    return [f"{proxy.url}/v2/models/{name}/ready" for name in (NAME, IMAGES)]


def _is_ready(url: str) -> bool:
    return requests.get(url, timeout=10).ok


class Client:
    """Sends requests on one way, one after the other."""

    def __init__(self, name: str, ways: Mapping[str, Way], seed: int) -> None:
        self.found = Found()
        self.name = name
        self._ways = ways
        self._seed = seed
        self._mutator = RequestMutator(seed)
        self._documented = documented()
        self._run = 0

    def send(self, runs: int, stop: threading.Event) -> None:
        """So many more damaged requests. Raises WrongAnswerError."""
        for _ in range(runs):
            if stop.is_set():
                return
            if self._run % _EVERY == 0:
                self._send_good()
            self._send_damaged()
            self._run += 1

    def _send_damaged(self) -> None:
        sent = self._mutator.damaged()
        way = self._ways[IMAGES if f"/{IMAGES}" in sent.path else NAME]
        began_s = time.monotonic()
        answer = way.post(sent.path, sent.body, sent.headers)
        took_s = time.monotonic() - began_s
        self.found.longest_s = max(self.found.longest_s, took_s)
        self.found.statuses[answer.status] += 1
        wrong = f"after {took_s:.1f} s" if took_s > _MOST_S else self._wrong(answer)
        if wrong:
            what = f"{sent.path} {dict(sent.headers)} {sent.body[:1000]!r}"
            raise WrongAnswerError(
                f"{self._where()}: {answer.status} {wrong}: {answer.body[:500]!r} to {what}"
            )

    def _wrong(self, answer: Answer) -> str:
        """What is wrong with an answer; nothing where it is well."""
        if answer.status not in self._documented:
            return "is not a documented status"
        if answer.status == _OK:
            return ""
        try:
            page = json.loads(answer.body)
            well = page["error"] == page["detail"] and page["status"] == answer.status and page["error"]
        except (ValueError, KeyError, TypeError):
            well = False
        return "" if well and answer.headers["Content-Type"] == "application/json" else "has a wrong error"

    def _send_good(self) -> None:
        good = self._mutator.good()
        answer = self._ways[good.model].post(good.path, good.body, good.headers)
        if answer.status != _OK or good.answered not in answer.body:
            raise WrongAnswerError(
                f"{self._where()}: {answer.status} {answer.body[:500]!r} to a good request: {good.path} "
                f"{dict(good.headers)} {good.body[:1000]!r}, whose answer has {good.answered!r}"
            )
        self.found.good += 1

    def _where(self) -> str:
        return f"--seed {self._seed}: {self.name}, request {self._run}"


def send(fleet: Running, count: int, seed: int) -> tuple[Mapping[str, Found], Mapping[str, int]]:
    """Half of so many requests on each way; what came of them, and by how much each process has grown.

    Raises WrongAnswerError.
    """
    with contextlib.ExitStack() as stack:
        through = {name: Way("proxy", fleet.proxy) for name in fleet.workers}
        direct = {name: Way("worker", address) for name, address in fleet.workers.items()}
        for way in (*through.values(), *direct.values()):
            stack.callback(way.close)
        clients = [Client("worker", direct, seed), Client("proxy", through, seed + 1)]
        sizes = []
        for _ in range(_STEPS):
            _send_all(clients, count // 2 // _STEPS)
            sizes.append(fleet.bytes())
        for name, way in direct.items():
            way.post(f"/v1/models/{name}:predict", bytes(LARGE_BYTES))
    least = {name: min(each[name] for each in sizes[_WINDOW]) for name in fleet.pids}
    deadline_s = time.monotonic() + _TRIM_S
    while max((grown := _grown(least, fleet.bytes())).values()) > _MOST_GROWTH:
        if time.monotonic() > deadline_s:
            raise WrongAnswerError(f"--seed {seed}: memory grew by {_mib(grown)}, from {_mib(least)}")
        time.sleep(0.1)
    return {client.name: client.found for client in clients}, grown


def _grown(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    return {name: after[name] - before[name] for name in before}


def _send_all(clients: Sequence[Client], runs: int) -> None:
    stop = threading.Event()

    def run(client: Client) -> None:
        try:
            client.send(runs, stop)
        except BaseException:
            stop.set()
            raise

    with ThreadPoolExecutor(len(clients)) as threads:
        for done in [threads.submit(run, client) for client in clients]:
            done.result()


def _mib(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {size / 2**20:+.1f} MiB" for name, size in sizes.items())


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description="Send damaged requests to workers and through a proxy.")
    parser.add_argument("--requests", type=int, default=50_000, help="of both ways together")
    parser.add_argument("--seed", type=int, default=0, help="which damages")
    asked = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="tfleet-mutated-") as folder, running(Path(folder)) as fleet:
        began_s = time.perf_counter()
        try:
            found, grown = send(fleet, asked.requests, asked.seed)
        except WrongAnswerError as error:
            print(error, file=sys.stderr)
            return 1
        took_s = time.perf_counter() - began_s
    for name, each in found.items():
        counts = ", ".join(f"{status}: {number}" for status, number in sorted(each.statuses.items()))
        print(f"{name}: {counts}; {each.good} good ones; the slowest took {each.longest_s:.2f} s")
    print(f"--seed {asked.seed}: {asked.requests} requests in {took_s:.1f} s; memory: {_mib(grown)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
