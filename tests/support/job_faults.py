"""Jobs while workers, proxies and Redis are killed: what was accepted, and what came of it.

As a program it is the soak test, `make soak`:
    python -m tests.support.job_faults --jobs 100000 --seconds-between-kills 5
Its exit code is 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from tests.support.environment import users_environment
from tests.support.fake_worker import fake_worker
from tests.support.free_ports import free_port
from tests.support.redis_server import DURABLE, RedisServer, shard_of
from tests.support.waiting import eventually
from tfleet.contract.address import Address
from tfleet.jobs.counts import Counted

VISIBILITY_S = 1.0
VICTIMS = ("worker", "proxy", "redis")
_SERVICE = "faults"
_SUBMITTERS = 16
_READERS = 16
_SETTLED = (Counted.DONE, Counted.EXPIRED, Counted.CANCELLED, Counted.DEAD)
_MOST_DEAD = 0.005
"""The share of jobs that may be dead: those at which two workers were killed. That is an answer, too."""
_MOST_BYTES_MORE = 3_000_000
_TARGET = "/jobs?model=flowers&version=1"


@dataclass
class Process:
    """A process that is killed and started again."""

    command: tuple[str, ...]
    process: asyncio.subprocess.Process | None = None
    kills: int = 0

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            *self.command, stdout=asyncio.subprocess.DEVNULL, env=users_environment()
        )

    async def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        await self.process.wait()
        self.kills += 1

    async def stop(self) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGTERM)
            await self.process.wait()


@dataclass
class Outcome:
    """What came of a run."""

    accepted: dict[str, bytes] = field(default_factory=dict)
    """The body of each job that was accepted, by its location."""
    statuses: Counter[int] = field(default_factory=Counter)
    """The final statuses: one for each job."""
    wrong: list[str] = field(default_factory=list)
    """Jobs whose answer is another body's, or differs when it is read again."""
    kills: Counter[str] = field(default_factory=Counter)
    after_kills: int = 0
    """How many jobs were accepted after the last kill."""
    seconds: float = 0.0
    redis_bytes: tuple[int, int] = (0, 0)
    """The memory of Redis before the first job, and after the last one was forgotten."""
    counted: tuple[int, int] = (0, 0)
    """How many jobs Redis says it has accepted, and how many settled."""


class FaultyFleet:
    """A Redis, a proxy and workers without a model."""

    def __init__(self, folder: Path, workers: int, listed: Address) -> None:
        """The proxy knows one worker, which lives and answers that it is ready: `listed`."""
        self.redis = RedisServer(folder, DURABLE)
        self.port = free_port()
        python, redis = (sys.executable, "-m"), self.redis.url.text
        self.proxy = Process(
            (
                *(*python, "tfleet", "proxy", "--registry", f"static:{listed}", "--port", str(self.port)),
                *("--service", _SERVICE, "--jobs", redis, "--log-level", "error"),
                *("--max-jobs", "1000000", "--max-jobs-bytes", str(2**30)),
            )
        )
        consumer = (*python, "tests.support.job_consumer", redis, _SERVICE)
        self.workers = [Process((*consumer, f"w{number}", str(VISIBILITY_S))) for number in range(workers)]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> FaultyFleet:
        await asyncio.to_thread(self.redis.start)
        for each in (self.proxy, *self.workers):
            await each.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        for each in (*self.workers, self.proxy):
            await each.stop()
        await asyncio.to_thread(self.redis.stop)

    async def kill(self, victim: str, rng: random.Random) -> None:
        """Kill one of them, and start it again."""
        if victim == "redis":
            await asyncio.to_thread(self.redis.kill)
            await asyncio.sleep(0.2)
            await asyncio.to_thread(self.redis.start)
            return
        process = self.proxy if victim == "proxy" else rng.choice(self.workers)
        await process.kill()
        await process.start()

    async def counted(self) -> tuple[int, int]:
        """How many jobs Redis has accepted, and how many it has settled."""
        async with shard_of(self.redis, _SERVICE) as shard:
            counts = (await shard.stats()).counts
        return counts[Counted.ACCEPTED], sum(counts[each] for each in _SETTLED)

    async def memory_bytes(self) -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.redis.port)
        writer.write(b"MEMORY PURGE\r\nINFO memory\r\n")
        text = b""
        while b"used_memory:" not in text or not text.endswith(b"\r\n"):
            text += await reader.read(65536)
        writer.close()
        line = next(line for line in text.split(b"\r\n") if line.startswith(b"used_memory:"))
        return int(line.partition(b":")[2])


async def run_with_faults(
    folder: Path, *, jobs: int, between_kills_s: float, rounds: int, workers: int = 2, seed: int = 1
) -> Outcome:
    """Submit so many jobs, each with a key, until all are accepted, and read their answers. Meanwhile one
    process after the other is killed, in so many rounds.
    """
    rng, outcome, began_s = random.Random(seed), Outcome(), time.monotonic()
    async with fake_worker() as listed, FaultyFleet(folder, workers, listed.address) as fleet:
        before = await fleet.memory_bytes()
        killing = asyncio.create_task(_kill_in_turn(fleet, outcome, between_kills_s, rounds, rng))
        numbers = iter(range(jobs))
        # So that jobs come all the time while something is killed.
        pause_s = 3 * rounds * between_kills_s / jobs * _SUBMITTERS
        async with asyncio.TaskGroup() as group:
            for _ in range(_SUBMITTERS):
                group.create_task(_submit(fleet.url, numbers, outcome, pause_s))
        locations = iter(list(outcome.accepted))
        async with asyncio.TaskGroup() as group:
            for _ in range(_READERS):
                group.create_task(_read(fleet.url, locations, outcome))
        await killing
        outcome.after_kills += len(outcome.accepted)
        outcome.counted = await fleet.counted()
        outcome.redis_bytes = before, await _settled_memory(fleet, outcome)
    outcome.seconds = time.monotonic() - began_s
    return outcome


async def _kill_in_turn(
    fleet: FaultyFleet, outcome: Outcome, between_kills_s: float, rounds: int, rng: random.Random
) -> None:
    await eventually(_number_of(outcome))
    for _ in range(rounds):
        for victim in VICTIMS:
            await asyncio.sleep(between_kills_s)
            await asyncio.shield(fleet.kill(victim, rng))
            outcome.kills[victim] += 1
            outcome.after_kills = -len(outcome.accepted)


def _number_of(outcome: Outcome) -> Callable[[], Awaitable[int]]:
    async def accepted() -> int:
        return len(outcome.accepted)

    return accepted


async def _submit(url: str, numbers: Iterator[int], outcome: Outcome, pause_s: float) -> None:
    async with aiohttp.ClientSession(url) as session:
        for number in numbers:
            await asyncio.sleep(pause_s)
            body = b"job %d" % number
            headers = {"Idempotency-Key": f"key {number}"}
            _, job_id, _ = await _asked(
                session, "POST", _TARGET, {200, 202}.__contains__, body=body, headers=headers
            )
            outcome.accepted[f"/jobs/{job_id}"] = body


async def _read(url: str, locations: Iterator[str], outcome: Outcome) -> None:
    """The answer of each job, twice, and then it is forgotten."""
    async with aiohttp.ClientSession(url) as session:
        for location in locations:
            wanted = hashlib.sha256(outcome.accepted[location]).hexdigest().encode()
            path = f"{location}?wait=10"
            answers = [
                await _asked(session, "GET", path, lambda status: status not in {202, 503}) for _ in range(2)
            ]
            outcome.statuses[answers[0][0]] += 1
            if answers[0] != answers[1] or (answers[0][0] == 200 and answers[0][2] != wanted):
                outcome.wrong.append(location)


async def _asked(
    session: aiohttp.ClientSession,
    method: str,
    path: str,
    wanted: Callable[[int], bool],
    *,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
) -> tuple[int, str, bytes]:
    """Ask until the status is `wanted`: what was asked may have been killed. Returns it, with the job's id
    and the body.
    """
    while True:
        with contextlib.suppress(aiohttp.ClientError, ConnectionError, TimeoutError):
            async with session.request(method, path, data=body, headers=headers) as answer:
                content = await answer.read()
                if wanted(answer.status):
                    return answer.status, answer.headers.get("X-Job", ""), content
        await asyncio.sleep(0.05)


async def _settled_memory(fleet: FaultyFleet, outcome: Outcome) -> int:
    locations = iter(list(outcome.accepted))

    async def forget() -> None:
        async with aiohttp.ClientSession(fleet.url) as session:
            for location in locations:
                await _asked(session, "DELETE", location, {204, 410}.__contains__)

    async with asyncio.TaskGroup() as group:
        for _ in range(_READERS):
            group.create_task(forget())
    return await fleet.memory_bytes()


def faults(outcome: Outcome, jobs: int, kills: int) -> list[str]:
    """What is not as promised: nothing is lost or answered twice, and the memory of Redis is flat."""
    before, after = outcome.redis_bytes
    promised = {
        "each job is accepted once": (len(outcome.accepted), outcome.counted[0]) == (jobs, jobs),
        "each job is settled once": outcome.counted[1] == sum(outcome.statuses.values()) == jobs,
        "each answer is that of its job": not outcome.wrong,
        "each job has an answer or is dead": outcome.statuses.keys() <= {200, 500},
        "hardly any job is dead": outcome.statuses[500] <= _MOST_DEAD * jobs,
        "each victim was killed": dict(outcome.kills) == dict.fromkeys(VICTIMS, kills),
        "the memory of Redis is flat": after < before + _MOST_BYTES_MORE,
    }
    return [promise for promise, kept in promised.items() if not kept]


def report(outcome: Outcome) -> str:
    before, after = outcome.redis_bytes
    accepted, settled = outcome.counted
    return (
        f"{len(outcome.accepted)} accepted, final statuses {dict(outcome.statuses)}, {len(outcome.wrong)} "
        f"wrong, Redis counted {accepted} accepted and {settled} settled, {outcome.after_kills} accepted "
        f"after the last kill, kills {dict(outcome.kills)}, {outcome.seconds:.0f} s, Redis "
        f"{before / 1e6:.1f} MB before and {after / 1e6:.1f} MB after"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--seconds-between-kills", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=10)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        outcome = asyncio.run(
            run_with_faults(
                Path(folder),
                jobs=asked.jobs,
                between_kills_s=asked.seconds_between_kills,
                rounds=asked.rounds,
            )
        )
    found = faults(outcome, asked.jobs, asked.rounds)
    print(report(outcome), *(f"BROKEN: {promise}" for promise in found), sep="\n")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
