"""`python -m benchmarks.worker.hostile`: what hostile images cost the good ones, in a fleet of two workers.

A steady load of good photographs goes through the proxy. Each image of tests/support/hostile_images.py is
sent 32 times beside it. Measured are the good ones' times against those without any, the workers that were
ejected, and the workers' memory, decoders included. It writes docs/benchmarks/hostile.md.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import datetime
import io
import json
import resource
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import aiohttp

from benchmarks.load.form import Form
from benchmarks.load.photos import SMALL, photos
from benchmarks.report.machine import QUIET, busy, machine
from benchmarks.report.server_process import Server, server
from benchmarks.report.validity import crowded, short, verdict
from tests.support.canned_server import nobody
from tests.support.hostile_images import HOSTILE, made
from tests.support.waiting import eventually

PAGE: Final = Path(__file__).parents[2] / "docs/benchmarks/hostile.md"
_MORE_GOOD: Final = "the good photograph itself"
_WORKERS: Final = 2
_COPIES: Final = 32
_MAX_BYTES: Final = 128 * 1024 * 1024  # of hostile bodies on their way at a time
_RATE: Final = 20.0
_QUIET_S: Final = 30.0
_LEAST_S: Final = 10.0  # of the load beside each image, so that a p99 is one of hundreds
_AFTER_S: Final = 60.0
_MAX_TIMES: Final = 3.0
_MAX_MEMORY: Final = 1.1


@dataclasses.dataclass(frozen=True, slots=True)
class Beside:
    """The results of the good requests and of the hostile copies, for one image."""

    name: str
    statuses: dict[int, int]
    good: int
    lost: int
    p50_ms: float
    p99_ms: float
    ejected: int
    resident_mb: float


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """The figures of a run; the memory is that of both workers."""

    strangers: float
    rate: float
    quiet: Beside
    beside: tuple[Beside, ...]
    before_mb: float
    after_mb: float


class Good:
    """Sends photographs at their times, and keeps how long each took, in milliseconds; None is a lost one."""

    def __init__(self, session: aiohttp.ClientSession, url: str, form: Form, rate: float) -> None:
        self._session, self._url, self._form, self._rate = session, url, form, rate
        self._stop = asyncio.Event()
        self.times_ms: list[float | None] = []

    async def run(self) -> None:
        """Until `stop`."""
        began_s, number = time.perf_counter(), 0
        async with asyncio.TaskGroup() as group:
            while not self._stop.is_set():
                await asyncio.sleep(max(0.0, began_s + number / self._rate - time.perf_counter()))
                group.create_task(self._one())
                number += 1

    def stop(self) -> None:
        self._stop.set()

    async def _one(self) -> None:
        began_s = time.perf_counter()
        try:
            async with self._session.post(
                self._url, data=self._form.body, headers={"Content-Type": self._form.content_type}
            ) as answer:
                await answer.read()
                good = answer.status == 200
        except aiohttp.ClientError:
            good = False
        self.times_ms.append((time.perf_counter() - began_s) * 1000 if good else None)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.worker.hostile", description=(__doc__ or "").split("\n\n", 1)[1]
    )
    parser.add_argument(
        "--rate", type=float, default=_RATE, help=f"good images a second (default: {_RATE:g})"
    )
    parser.add_argument(
        "--quiet", type=float, default=_QUIET_S, help=f"seconds without (default: {_QUIET_S:g})"
    )
    parser.add_argument("--json", action="store_true", help="print the figures instead of writing the page")
    options = parser.parse_args()
    for name in HOSTILE:
        made(name)
    form, proxy, registry = Form.of(photos()[SMALL]), nobody().port, nobody().port
    arguments = ("up", "--workers", str(_WORKERS), "--port", str(proxy), "--registry-port", str(registry))
    with server("a fleet", f"http://127.0.0.1:{proxy}/", "tfleet", arguments) as fleet:
        _say("starting a fleet")
        fleet.ready(form)
        run = asyncio.run(_run(fleet, form, options.rate, options.quiet))
    if options.json:
        print(json.dumps({"machine": machine()} | dataclasses.asdict(run)))
        return
    written = page(run, options.quiet)
    PAGE.write_text(written)
    print(written)


async def _run(fleet: Server, form: Form, rate: float, quiet_s: float) -> Run:
    timeout, connector = aiohttp.ClientTimeout(total=100), aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        await eventually(lambda: _ready(session, fleet), wanted=lambda ready: ready == _WORKERS, timeout_s=60)
        strangers = await asyncio.to_thread(busy, 1.0)
        await _beside(session, fleet, form, rate, None, 5.0)  # its memory takes its shape
        quiet = await _beside(session, fleet, form, rate, None, quiet_s)
        before_mb = await _resident_mb(fleet)
        beside = []
        for name in (_MORE_GOOD, *HOSTILE):
            beside.append(await _beside(session, fleet, form, rate, name, _LEAST_S))
        _say(f"{_AFTER_S:g} s of nothing")
        await asyncio.sleep(_AFTER_S)
        return Run(strangers, rate, quiet, tuple(beside), before_mb, await _resident_mb(fleet))


async def _beside(
    session: aiohttp.ClientSession, fleet: Server, form: Form, rate: float, name: str | None, least_s: float
) -> Beside:
    _say(name or "good photographs alone")
    good, most_mb, statuses = Good(session, fleet.url, form, rate), 0.0, Counter[int]()
    async with asyncio.TaskGroup() as group:
        group.create_task(good.run())
        enough = asyncio.ensure_future(asyncio.sleep(least_s))
        body = form if name == _MORE_GOOD else Form(made(name), "image/x") if name else None
        flood = asyncio.ensure_future(_flood(session, fleet, body) if body else asyncio.sleep(0, statuses))
        while not (enough.done() and flood.done()):
            await asyncio.wait([enough, flood], timeout=0.25)
            most_mb = max(most_mb, await _resident_mb(fleet))
        statuses = flood.result()
        good.stop()
    times = sorted(each for each in good.times_ms if each is not None)
    return Beside(
        name or "",
        dict(sorted(statuses.items())),
        len(good.times_ms),
        good.times_ms.count(None),
        times[len(times) // 2],
        times[int(len(times) * 0.99)],
        await _ejected(session, fleet),
        most_mb,
    )


async def _flood(session: aiohttp.ClientSession, fleet: Server, form: Form) -> Counter[int]:
    turn = asyncio.Semaphore(max(2, min(_COPIES, _MAX_BYTES // len(form.body))))

    async def one() -> int:
        headers = {"Content-Type": form.content_type}
        async with turn, session.post(fleet.url, data=io.BytesIO(form.body), headers=headers) as answer:
            await answer.read()
            return answer.status

    return Counter(await asyncio.gather(*(one() for _ in range(_COPIES))))


async def _rows(session: aiohttp.ClientSession, fleet: Server) -> list[dict[str, Any]]:
    async with session.get(f"{fleet.url}workers") as answer:
        rows: list[dict[str, Any]] = (await answer.json())["workers"]
        return rows


async def _ready(session: aiohttp.ClientSession, fleet: Server) -> int:
    return sum(row["state"] == "ready" for row in await _rows(session, fleet))


async def _ejected(session: aiohttp.ClientSession, fleet: Server) -> int:
    return sum(row["state"] != "ready" or row["failures"] > 0 for row in await _rows(session, fleet))


async def _resident_mb(fleet: Server) -> float:
    """The memory of the workers and their decoders, in MB."""
    return await asyncio.to_thread(lambda: sum(map(_resident_bytes, _workers(fleet))) / 1e6)


def _workers(fleet: Server) -> list[int]:
    children = _children()
    workers = [pid for pid in children.get(fleet.pid, []) if b"worker" in _command(pid)]
    return [*workers, *(pid for worker in workers for pid in children.get(worker, []))]


def _children() -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        found.setdefault(parent, []).append(int(stat.parent.name))
    return found


def _command(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


def _resident_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return 0


def page(run: Run, quiet_s: float) -> str:
    """The whole page, as Markdown."""
    doubts = [*crowded(run.strangers), *short("s", quiet_s, _QUIET_S)]
    command = " ".join([".venv/bin/python -m benchmarks.worker.hostile", *sys.argv[1:]])
    lost, ejected = sum(one.lost for one in run.beside), sum(one.ejected for one in run.beside)
    control, hostile = run.beside[0], run.beside[1:]
    worst = max(hostile, key=lambda one: one.p99_ms)
    times, memory = worst.p99_ms / run.quiet.p99_ms, run.after_mb / run.before_mb
    rows = [_row(one, run.quiet) for one in run.beside]
    return "\n".join(
        [
            "# Hostile images beside good ones",
            "",
            f"`{command}` on {datetime.date.today()}: {machine()}.",
            "",
            f"`tfleet up --workers {_WORKERS}` and {run.rate:g} JPEGs of {SMALL} a second through the proxy.",
            f"Alone they take {run.quiet.p50_ms:.0f} ms (p50) and {run.quiet.p99_ms:.0f} ms (p99).",
            f"Each image of `tests/support/hostile_images.py` came {_COPIES} times beside them, "
            "by a load on the same CPUs.",
            f"So did, for comparison, the good photograph: at a p99 of {control.p99_ms:.0f} ms.",
            f"Before it, while all was idle, the machine was using {run.strangers:.2f} CPUs.",
            *(["**Others were at work on it: these figures say little.**"] if run.strangers > QUIET else []),
            "",
            "| | found | bar | |",
            "|---|---|---|---|",
            f"| good requests lost | {lost} | 0 | {_verdict(not lost, doubts)} |",
            f"| workers ejected | {ejected} | 0 | {_verdict(not ejected, doubts)} |",
            f"| p99 of the good ones, against alone, beside the worst image ({worst.name}) | {times:.1f} | "
            f"at most {_MAX_TIMES:g} | {_verdict(times <= _MAX_TIMES, doubts)} |",
            f"| memory of both workers {_AFTER_S:g} s later, against before | {memory:.2f} | "
            f"at most {_MAX_MEMORY:g} | {_verdict(memory <= _MAX_MEMORY, doubts)} |",
            "",
            f"Memory of both workers, decoders included: {run.before_mb:,.0f} MB before,",
            f"{run.after_mb:,.0f} MB {_AFTER_S:g} s after the last image; the column has the most with each.",
            "",
            "| image | its answers | good ones | lost | p50 ms | p99 ms | p99 against alone | ejected | MB |",
            "|---|---|---|---|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


def _row(one: Beside, quiet: Beside) -> str:
    answers = ", ".join(f"{count} of {status}" for status, count in one.statuses.items())
    times = one.p99_ms / quiet.p99_ms
    found = (one.good, one.lost, f"{one.p50_ms:.0f}", f"{one.p99_ms:.0f}", f"{times:.1f}", one.ejected)
    return f"| {one.name} | {answers} | {' | '.join(map(str, found))} | {one.resident_mb:,.0f} |"


def _verdict(met: bool, doubts: Sequence[str]) -> str:
    return verdict("met" if met else "**missed**", doubts)


def _say(what: str) -> None:
    print(f"{what} ...", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
