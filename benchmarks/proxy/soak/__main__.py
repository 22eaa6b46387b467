"""`python -m benchmarks.proxy.soak`: whether the proxy grows with the requests that it has served.

It sends some hundred thousand requests of all kinds, good and bad, through a proxy to fake workers,
looks now and then at what the proxy holds, and writes docs/benchmarks/soak.md.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import datetime
import json
import sys
import time
from collections import Counter
from pathlib import Path

from benchmarks.proxy.soak.clients import Clients
from benchmarks.proxy.soak.growth import mb_per_100k
from benchmarks.proxy.soak.process import WORKERS, Held, proxy
from benchmarks.report.machine import machine
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[3]
CONNECTIONS = 16
_EVERY = 5_000
_ROWS = 10


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """What was sent and what was held: at the start, after so many requests each, and when all was over."""

    sent: Counter[str]
    seconds: float
    before: Held
    during: list[tuple[int, Held]]
    after: Held

    @property
    def settled(self) -> list[tuple[int, Held]]:
        """The samples without the first third, in which pools and caches fill."""
        return [one for one in self.during if one[0] >= self.during[-1][0] / 3]

    @property
    def mb_per_100k(self) -> float:
        """The growth of the memory, in MB for 100,000 requests."""
        return mb_per_100k([(sent, held.resident_bytes) for sent, held in self.settled])


def main() -> None:
    """Send and write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.proxy.soak", description=(__doc__ or "").split("\n\n")[1]
    )
    parser.add_argument("--requests", type=int, default=300_000, help="how many to send (default: 300000)")
    parser.add_argument("--json", action="store_true", help="print the figures instead of writing the table")
    options = parser.parse_args()
    if options.requests < 2 * _EVERY:
        parser.error(f"--requests {options.requests}: a slope needs two samples, so at least {2 * _EVERY}")
    run = asyncio.run(_run(options.requests))
    if options.json:
        # asdict makes no JSON object of a Counter.
        found = dataclasses.asdict(run) | {"sent": dict(run.sent)}
        print(json.dumps({"machine": machine(), "mb_per_100k": run.mb_per_100k} | found))
        return
    table = _table(run)
    (ROOT / "docs/benchmarks/soak.md").write_text(table)
    print(table)


async def _run(requests: int) -> Run:
    with proxy() as running:
        await running.ready()
        before, during = await running.held(), []
        began_s = time.monotonic()
        async with Clients(running.address, connections=CONNECTIONS) as clients:
            for goal in range(_EVERY, requests + 1, _EVERY):
                await clients.until(goal)
                during.append((clients.sent.total(), await running.held()))
                print(*during[-1], file=sys.stderr, flush=True)
        seconds = time.monotonic() - began_s
        if clients.wrong:
            raise SystemExit(f"{len(clients.wrong)} were not answered as they should: {clients.wrong[:5]}")
        after = await eventually(running.held, wanted=lambda held: held.tasks <= before.tasks, timeout_s=60)
        return Run(clients.sent, seconds, before, during, after)


def _table(run: Run) -> str:
    sent = run.sent.total()
    lines = [
        "# What a proxy holds after some hundred thousand requests",
        "",
        f"`.venv/bin/python -m benchmarks.proxy.soak` on {datetime.date.today()}: {machine()}.",
        "",
        f"{sent:,} requests in {run.seconds:.0f} s, from {CONNECTIONS} connections to {WORKERS} fake",
        "workers that answer at once; each got the expected response. After the first third memory grew by",
        f"**{run.mb_per_100k:.2f} MB for 100,000 requests** (the slope of the line through all samples).",
        "",
        "| after requests | resident MB | descriptors | tasks |",
        "|---|---|---|---|",
        _row("before", run.before),
        *(_row(f"{count:,}", held) for count, held in run.during[:: max(1, len(run.during) // _ROWS)]),
        _row("when the clients had gone", run.after),
        "",
        "| kind | requests |",
        "|---|---|",
        *(f"| {kind} | {count:,} |" for kind, count in run.sent.most_common()),
        "",
    ]
    return "\n".join(lines)


def _row(when: str, held: Held) -> str:
    return f"| {when} | {held.resident_bytes / 1e6:.2f} | {held.descriptors} | {held.tasks} |"


if __name__ == "__main__":
    main()
