"""Record what fleets log, as sessions of event keys: normal ones, and ones in which something breaks.

Starts fleets of four workers on loopback and sends them rows. A session is what a fleet logs from one
action until it is quiet again: a normal action (a planned restart, a caller's mistake, nothing), or an
injected fault. A key is who logged an event, and its name; of a request also the status. Nothing else of a
line is kept. Events are in the order of their times.
"""

import argparse
import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import requests

MODEL = Path(__file__).resolve().parents[2] / "worker" / "models" / "iris"
WORKERS = 4
PATIENCE_S = 60.0
ROW = {"sepal_length": 5, "sepal_width": 3, "petal_length": 1, "petal_width": 0.2}


@dataclass(frozen=True)
class Session:
    """What a fleet logged from an action until it was quiet again."""

    run: int
    action: str
    fault: bool
    keys: list[str]


class Fleet:
    """`tfleet up`, what it logs, and two callers."""

    def __init__(self, process: subprocess.Popen[str], rng: random.Random) -> None:
        self.rng = rng
        self.events: list[tuple[str, str]] = []  # time and key
        self.pids: dict[str, int] = {}
        self.registered: dict[str, int] = {}
        self.restarts = dict.fromkeys((f"worker-{number}" for number in range(1, WORKERS + 1)), 0)
        self.url = ""
        self._process = process
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            if started := re.match(r"up +\| (\S+) started \(process (\d+)\)", line):
                self.pids[started[1]] = int(started[2])
            name, bar, text = line.partition(" | ")
            if not bar or not text.startswith("{"):
                continue
            event = json.loads(text)
            if event["event"] == "proxy listening":
                self.url = f"http://{event['address']}"
            if event["event"] == "registered":
                self.registered[name.strip()] = self.registered.get(name.strip(), 0) + 1
            status = f" {event['status']}" if "status" in event else ""
            key = f"{name.strip().rstrip('-0123456789')}: {event['event']}{status}"
            self.events.append((event["timestamp"], key))

    def call(self, row: dict[str, float] = ROW) -> None:
        with contextlib.suppress(requests.RequestException):
            requests.post(f"{self.url}/predict", json=row, timeout=10)

    def callers(self, count: int) -> None:
        for seed in range(count):
            threading.Thread(target=self._caller, args=[random.Random(seed)], daemon=True).start()  # noqa: S311

    def _caller(self, rng: random.Random) -> None:
        while self._process.poll() is None:
            self.call()
            time.sleep(rng.uniform(0.3, 0.9))

    def wait(self, met: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not met():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise TimeoutError(f"the fleet waits for something; its last events: {self.events[-5:]}")
            time.sleep(0.05)

    def ready(self) -> bool:
        """Whether all workers are there, for the proxy and in their own logs."""
        if not self.url or not self.registered.keys() >= self.restarts.keys():
            return False
        with contextlib.suppress(requests.RequestException):
            rows = requests.get(f"{self.url}/workers", timeout=5).json()["workers"]
            return [row["state"] for row in rows].count("ready") == WORKERS
        return False

    def victim(self) -> str:
        """A worker by chance, of those that were restarted least: the waits before restarts grow."""
        least = min(self.restarts.values())
        chosen = self.rng.choice([name for name, times in self.restarts.items() if times == least])
        self.restarts[chosen] += 1
        return chosen

    def send(self, name: str, signum: int) -> None:
        os.kill(self.pids[name], signum)

    def restarted(self, names: list[str], signum: int) -> None:
        """Send the signal, and wait until these are there again."""
        before = {name: self.registered[name] for name in names}
        for name in names:
            self.send(name, signum)
        self.wait(lambda: all(self.registered[name] > count for name, count in before.items()))


def nothing(fleet: Fleet) -> None:
    time.sleep(fleet.rng.uniform(1, 3))


def mistake(fleet: Fleet) -> None:
    fleet.call({"unknown": 1})
    fleet.call()


def planned_restart(fleet: Fleet) -> None:
    fleet.restarted([fleet.victim()], signal.SIGTERM)


def rolling_restart(fleet: Fleet) -> None:
    for _ in range(2):
        planned_restart(fleet)
        fleet.wait(fleet.ready)


def killed(fleet: Fleet) -> None:
    fleet.restarted([fleet.victim()], signal.SIGKILL)


def killed_while_draining(fleet: Fleet) -> None:
    name = fleet.victim()
    before, seen = fleet.registered[name], len(fleet.events)
    fleet.send(name, signal.SIGTERM)
    fleet.wait(lambda: any(key == "worker: worker draining" for _, key in fleet.events[seen:]))
    fleet.send(name, signal.SIGKILL)
    fleet.wait(lambda: fleet.registered[name] > before)


def two_killed(fleet: Fleet) -> None:
    fleet.restarted([fleet.victim(), fleet.victim()], signal.SIGKILL)


def registry_killed(fleet: Fleet) -> None:
    fleet.send("registry", signal.SIGKILL)
    time.sleep(4)


def frozen(fleet: Fleet) -> None:
    name = fleet.victim()
    fleet.send(name, signal.SIGSTOP)
    time.sleep(4)
    fleet.send(name, signal.SIGCONT)


def bad_rows(fleet: Fleet) -> None:
    for _ in range(4):
        fleet.call({"unknown": 1})


NORMAL = (planned_restart, mistake, rolling_restart, planned_restart, nothing)
FAULTS = (killed, killed_while_draining, two_killed, registry_killed, frozen, bad_rows)


@contextlib.contextmanager
def started(rng: random.Random) -> Iterator[Fleet]:
    command = [sys.executable, "-m", "tfleet", "up", "--model", str(MODEL), "--workers", str(WORKERS)]
    command += ["--port", "0", "--registry-port", "0", "--drain-grace", "0.3", "--log-format", "json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # noqa: S603
    try:
        yield Fleet(process, rng)
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def record(number: int, faulty: bool, episodes: int) -> list[Session]:
    """The sessions of a fleet, from its start to its end; fewer, if it does not recover from one."""
    actions = FAULTS if faulty else NORMAL
    sessions: list[Session] = []
    try:
        with started(random.Random(number)) as fleet:  # noqa: S311 - no secret
            fleet.wait(fleet.ready)
            fleet.callers(2)
            while len(sessions) < episodes:
                begin = len(fleet.events)
                action = actions[(number + len(sessions)) % len(actions)]
                action(fleet)
                fleet.wait(fleet.ready)
                time.sleep(1)
                keys = [key for _, key in sorted(fleet.events[begin:])]
                sessions.append(Session(number, action.__name__, faulty, keys))
                print(f"fleet {number}: {action.__name__}, {len(keys)} events", flush=True)
    except TimeoutError as error:
        print(f"fleet {number}: given up, {error}", file=sys.stderr)
    return sessions


parser = argparse.ArgumentParser()
parser.add_argument("--normal", type=int, default=15, help="fleets without faults")
parser.add_argument("--faulty", type=int, default=5, help="fleets with faults")
parser.add_argument("--episodes", type=int, default=14, help="sessions of each fleet")
parser.add_argument("--together", type=int, default=5, help="fleets at a time")
parser.add_argument("--output", type=Path, default=Path("models", "sessions.json"))
options = parser.parse_args()
options.output.parent.mkdir(parents=True, exist_ok=True)
with ThreadPoolExecutor(options.together) as pool:
    runs = [
        pool.submit(record, number, number >= options.normal, options.episodes)
        for number in range(options.normal + options.faulty)
    ]
    found = [session for run in runs for session in run.result()]
keys = sorted({key for session in found for key in session.keys})
lines = ",\n".join(
    json.dumps(asdict(session) | {"keys": [keys.index(key) for key in session.keys]}) for session in found
)
options.output.write_text(f'{{"keys": {json.dumps(keys)},\n"sessions": [\n{lines}]}}\n')
if len(found) < len(runs) * options.episodes:
    sys.exit(f"{len(runs) * options.episodes - len(found)} sessions are missing: a fleet was given up")
