"""`python -m benchmarks.worker.forks`: whether a forked worker ever hangs.

It has a thousand workers forked from a process that has imported TensorFlow, several at once, as `tfleet up
--preload` does. Each loads a model, warms up, answers three requests and is stopped. It counts those that did
not become ready, answered something else or did not end, and writes docs/benchmarks/forks.md.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import datetime
import json
import re
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp

from benchmarks.report.machine import machine, versions
from benchmarks.report.validity import short, verdict
from benchmarks.tables import model
from tests.support.environment import users_environment
from tfleet.deploy.local.plan import PROGRAM
from tfleet.deploy.local.preload.fork_server import ForkServer
from tfleet.runtime.child_process import ChildProcess, ChildSpec, ExitStatus, OutputPipe
from tfleet.runtime.orphans import become_subreaper

PAGE = Path(__file__).parents[2] / "docs/benchmarks/forks.md"
_FORKS: Final = 1000
_AT_ONCE: Final = 6
_REQUESTS: Final = 3
_PATIENCE_S: Final = 60.0
_LISTENS: Final = re.compile(r'"address": "(?P<address>[\d.:]+)".*"event": "worker ready"')

_IMPORTED: Final = re.compile(r'"seconds": \{"import": (?P<seconds>[\d.]+)')
_FORKED_IMPORT_S: Final = 0.5  # whatever is imported already takes no time


@dataclass(slots=True)
class Count:
    """How the workers fared: seconds until each was ready, the answers, and what went wrong."""

    ready_s: list[float] = field(default_factory=list)
    answers: collections.Counter[str] = field(default_factory=collections.Counter)
    failed: collections.Counter[str] = field(default_factory=collections.Counter)


def main() -> None:
    """Fork, ask and write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.worker.forks", description=(__doc__ or "").split("\n\n", 1)[1]
    )
    parser.add_argument("--forks", type=int, default=_FORKS, help=f"how many (default: {_FORKS})")
    parser.add_argument("--json", action="store_true", help="print the figures instead of writing the page")
    options = parser.parse_args()
    if not become_subreaper():
        raise SystemExit("this system has no subreapers: nothing is forked here")
    count = Count()
    with tempfile.TemporaryDirectory(prefix="tfleet-bench-") as folder:
        path = model.save(Path(folder))
        took_s = asyncio.run(_all(path, options.forks, count))
    if options.json:
        figures = {"ready_s": count.ready_s, "failed": count.failed, "answers": len(count.answers)}
        print(json.dumps({"machine": machine(), "seconds": took_s, **figures}))
        return
    PAGE.write_text(_page(count, options.forks, took_s))
    print(_page(count, options.forks, took_s))


async def _all(path: Path, forks: int, count: Count) -> float:
    """Fork so many; the seconds that it took."""
    server = ForkServer(PROGRAM, users_environment(), print)
    process = await ChildProcess.start(server.spec, channel := server.channel(print))
    async with asyncio.TaskGroup() as tasks, aiohttp.ClientSession() as session:
        ending = tasks.create_task(process.end())
        await _one(server, session, path, Count())  # waits for the imports
        began_s = time.monotonic()
        numbers = iter(range(forks))
        async with asyncio.TaskGroup() as forking:
            for _ in range(_AT_ONCE):
                forking.create_task(_several(server, session, path, count, numbers))
        took_s = time.monotonic() - began_s
        process.send(signal.SIGTERM)
        await ending
    channel.close()
    return took_s


async def _several(
    server: ForkServer, session: aiohttp.ClientSession, path: Path, count: Count, numbers: Iterator[int]
) -> None:
    for _ in numbers:
        await _one(server, session, path, count)


async def _one(server: ForkServer, session: aiohttp.ClientSession, path: Path, count: Count) -> None:
    """Fork a worker, ask it and stop it."""
    lines: asyncio.Queue[str] = asyncio.Queue()
    options = ("--model", str(path), "--registry", "static:", "--log-format", "json", "--drain-grace", "0")
    began_s = time.monotonic()
    spec = ChildSpec("worker", (*PROGRAM, "worker", *options), server.spec.environ)
    child = await server.start(spec, OutputPipe(lines.put_nowait))
    async with asyncio.TaskGroup() as tasks:
        ending = tasks.create_task(child.end())
        try:
            async with asyncio.timeout(_PATIENCE_S):
                url = f"http://{await _address(lines, count)}/predict"
                count.ready_s.append(time.monotonic() - began_s)
                for _ in range(_REQUESTS):
                    async with session.post(url, json=_row()) as answer:
                        count.answers[await answer.text()] += 1
        except (TimeoutError, aiohttp.ClientError) as error:
            count.failed[type(error).__name__] += 1
        child.send(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                await asyncio.shield(ending)
        if not ending.done():
            count.failed["did not end"] += 1
            child.send(signal.SIGKILL)
        elif ending.result() != ExitStatus(0):
            count.failed[str(ending.result())] += 1


async def _address(lines: asyncio.Queue[str], count: Count) -> str:
    """Where a worker listens, once it says that it is ready."""
    while True:
        line = await lines.get()
        if (imported := _IMPORTED.search(line)) and float(imported["seconds"]) > _FORKED_IMPORT_S:
            count.failed["not forked"] += 1
        if found := _LISTENS.search(line):
            return found["address"]


def _row() -> dict[str, float]:
    return {name: float(column[0, 0]) for name, column in model.rows(1).items()}


def _page(count: Count, forks: int, took_s: float) -> str:
    command = " ".join([".venv/bin/python -m benchmarks.worker.forks", *sys.argv[1:]])
    good = not count.failed and len(count.answers) == 1 and len(count.ready_s) == forks
    said = verdict("met" if good else "**missed**", short("forks", forks, _FORKS))
    failed = ", ".join(f"{number} {what}" for what, number in count.failed.items()) or "none"
    return "\n".join(
        [
            "# Whether a forked worker ever hangs",
            "",
            f"`{command}` on {datetime.date.today()}:",
            f"{machine()}; {versions(['tensorflow-cpu'])}.",
            "",
            f"{forks:,} workers, {_AT_ONCE} at once, forked from one process that has imported TensorFlow.",
            f"Each loads a small table model, warms up, answers {_REQUESTS} requests and is stopped. The bar",
            f"is that none hangs, fails or answers anything else: {said}.",
            "",
            "| | |",
            "|---|---|",
            f"| ready | {len(count.ready_s):,} |",
            f"| distinct answers (1: all alike) | {len(count.answers)} |",
            f"| failures | {failed} |",
            f"| seconds until one is ready: median, longest | {statistics.median(count.ready_s):.2f}, "
            f"{max(count.ready_s):.2f} |",
            f"| seconds in all | {took_s:.0f} |",
            "",
        ]
    )


if __name__ == "__main__":
    main()
