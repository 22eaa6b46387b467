"""`python -m benchmarks.p2p.leases`: what the Python client costs in p2p mode, and what its leases save.

It runs a proxy and fake workers, sends them images with the client and with bare aiohttp in turn, and
writes docs/benchmarks/leases.md. It takes about a minute.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime
import itertools
import logging
import re
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp
import structlog

from benchmarks.report.bar import Bar
from benchmarks.report.machine import machine
from benchmarks.report.spread import Spread
from tests.support.fake_worker import settings
from tests.support.relay import Relay, relay_beside
from tfleet.client import AsyncFleetClient
from tfleet.client.routes.lease import BALANCES, Balance
from tfleet.contract.address import Address
from tfleet.proxy.server import single_process_proxy

FILE: Final = Path(__file__).parents[3] / "docs/benchmarks/leases.md"
IMAGE: Final = b"\xff\xd8\xff" + bytes(35_000)
ANSWER_S: Final = 0.020
SLOW_S: Final = 0.080
AT_ONCE: Final = 16
_LOOKUPS: Final = re.compile(r'requests_total\{route="/worker",status="200"\} ([0-9.]+)')

_QUICKLY: Final = 4
"""So many times as many images where workers answer at once."""
_BARE: Final = "aiohttp alone"
_STRAIGHT: Final = "clients of one worker each"
_P2P: Final = "a client with a lease"

Send = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one way to send images: images a second, and the client's CPU time for each."""

    rate: float
    cpu_us: float


@dataclass(frozen=True, slots=True)
class Saved:
    """The requests of one run that reached the proxy."""

    images: int
    lookups: float
    received_bytes: int


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.p2p.leases", description=(__doc__ or "").split("\n\n")[1]
    )
    parser.add_argument("--rounds", type=int, default=5, help="each figure is the median (default: 5)")
    parser.add_argument("--images", type=int, default=400, help="in each round (default: 400)")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    table = asyncio.run(_measured(options.rounds, options.images))
    FILE.write_text(table)
    print(table)


async def _measured(rounds: int, images: int) -> str:
    at_work = await _ways([ANSWER_S] * 4, rounds, images)
    at_once = await _ways([0.0] * 2, rounds, images * _QUICKLY)
    balances: dict[Balance, float] = {balance: await _uneven(balance, images) for balance in BALANCES}
    saved = await _saved(images * rounds)
    return _table(at_work, at_once, balances, saved, rounds, images)


async def _ways(answers_s: Sequence[float], rounds: int, images: int) -> dict[str, list[Cost]]:
    """The same images sent past the proxy by bare aiohttp and by the client, in turns."""
    found: dict[str, list[Cost]] = {_BARE: [], _STRAIGHT: [], _P2P: []}
    with _workers(answers_s) as workers:
        async with contextlib.AsyncExitStack() as stack:
            proxy = await stack.enter_async_context(single_process_proxy(settings(*workers, mode="p2p")))
            client = await stack.enter_async_context(AsyncFleetClient(proxy.url, p2p=True))
            each = [await stack.enter_async_context(AsyncFleetClient(worker.url)) for worker in workers]
            session = await stack.enter_async_context(aiohttp.ClientSession())
            turn = itertools.cycle(range(len(workers)))

            async def bare() -> None:
                url, headers = f"{workers[next(turn)].url}/predict", {"Content-Type": "image/jpeg"}
                async with session.post(url, data=IMAGE, headers=headers) as answer:
                    await answer.json()

            ways: dict[str, Send] = {
                _BARE: bare,
                _STRAIGHT: lambda: each[next(turn)].classify(IMAGE),
                _P2P: lambda: client.classify(IMAGE),
            }
            for _ in range(rounds + 1):
                for name, send in ways.items():
                    found[name].append(await _cost(send, images))
    return {name: costs[1:] for name, costs in found.items()}  # the first round makes the connections


async def _uneven(balance: Balance, images: int) -> float:
    """Images a second where one worker of four is slow."""
    with _workers([ANSWER_S, ANSWER_S, ANSWER_S, SLOW_S]) as workers:
        async with single_process_proxy(settings(*workers, mode="p2p")) as proxy:
            async with AsyncFleetClient(proxy.url, p2p=True, balance=balance) as client:
                return (await _cost(lambda: client.classify(IMAGE), images)).rate


async def _saved(images: int) -> Saved:
    with _workers([ANSWER_S] * 4) as workers:
        async with _watched(workers) as (proxy, witness):
            async with AsyncFleetClient(witness.address.url, p2p=True) as client:
                await _cost(lambda: client.classify(IMAGE), images)
            received_bytes = witness.received_bytes
            async with aiohttp.ClientSession() as session, session.get(f"{proxy.url}/metrics") as answer:
                lookups = _LOOKUPS.search(await answer.text())
    assert lookups is not None
    return Saved(images, float(lookups[1]), received_bytes)


@contextlib.asynccontextmanager
async def _watched(workers: Sequence[Address]) -> AsyncIterator[tuple[Address, Relay]]:
    async with single_process_proxy(settings(*workers, mode="p2p")) as proxy, relay_beside(proxy) as witness:
        yield proxy, witness


async def _cost(send: Send, images: int) -> Cost:
    left = images

    async def sender() -> None:
        nonlocal left
        while left:
            left -= 1
            await send()

    began_s, used_s = time.perf_counter(), time.process_time()
    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(sender())
    cpu_us = (time.process_time() - used_s) / images * 1e6
    return Cost(images / (time.perf_counter() - began_s), cpu_us)


@contextlib.contextmanager
def _workers(answers_s: Sequence[float]) -> Iterator[list[Address]]:
    """Processes that answer one image after the other, each in its time."""
    with contextlib.ExitStack() as stack:
        processes = []
        for answer_s in answers_s:
            command = [sys.executable, "-m", "benchmarks.p2p.leases.worker", str(answer_s)]
            processes.append(stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE)))
            stack.callback(processes[-1].kill)
        yield [Address("127.0.0.1", int(one.stdout.readline())) for one in processes if one.stdout]


def _table(
    at_work: dict[str, list[Cost]],
    at_once: dict[str, list[Cost]],
    balances: dict[Balance, float],
    saved: Saved,
    rounds: int,
    images: int,
) -> str:
    command = f".venv/bin/python -m benchmarks.p2p.leases --rounds {rounds} --images {images}"
    lines = [
        "# What p2p through the Python client costs",
        "",
        f"`{command}` on {datetime.date.today()}: {machine()}.",
        "",
        f"Images of 35 kB, {AT_ONCE} at once, sent to the workers in turn by bare aiohttp, by clients that",
        "were given a worker's address each, and by a client in p2p mode that gets them from a proxy;",
        f"one way after the other in each of {rounds} rounds of {images:,} images, or {images * _QUICKLY:,}",
        "where workers answer at once. Medians; a ratio is that of one round. The proxy runs in the client's",
        "process.",
        "",
        *_bars(at_work, at_once, saved),
        "",
        "| workers | | images a second | CPU of the client, µs | to aiohttp's rate | to the clients' |",
        "|---|---|---|---|---|---|",
    ]
    for workers, ways in (
        (f"4, {ANSWER_S * 1000:.0f} ms for each image", at_work),
        ("2 that answer at once", at_once),
    ):
        for name, costs in ways.items():
            rate = statistics.median(cost.rate for cost in costs)
            cpu_us = statistics.median(cost.cpu_us for cost in costs)
            to_bare, to_straight = _ratio(costs, ways[_BARE]), _ratio(costs, ways[_STRAIGHT])
            lines.append(
                f"| {workers} | {name} | {rate:,.0f} | {cpu_us:.0f} | {to_bare:.2f} | {to_straight:.2f} |"
            )
    per_image = saved.received_bytes / saved.images
    lines += [
        "",
        f"Of {saved.images:,} images the proxy saw {saved.lookups:.0f} lookups and",
        f"{saved.received_bytes:,} bytes: {saved.lookups / saved.images:.4f} lookups and",
        f"{per_image:.2f} bytes an image.",
        "",
        f"Three workers that take {ANSWER_S * 1000:.0f} ms and one that takes {SLOW_S * 1000:.0f} ms, one",
        f"image after the other each, could answer {3 / ANSWER_S + 1 / SLOW_S:.0f} a second. Shared by",
        "",
        "| balance | images a second |",
        "|---|---|",
    ]
    lines += [f"| {balance} | {rate:.0f} |" for balance, rate in balances.items()]
    return "\n".join([*lines, ""])


def _bars(at_work: dict[str, list[Cost]], at_once: dict[str, list[Cost]], saved: Saved) -> list[str]:
    """To call a worker directly is to call it by aiohttp alone."""
    least = "images a second against bare aiohttp's, workers that"
    bars = [
        Bar(f"{least} take {ANSWER_S * 1000:.0f} ms", 0.95, None, _ratios(at_work[_P2P], at_work[_BARE])),
        Bar(f"{least} answer at once", 0.95, None, _ratios(at_once[_P2P], at_once[_BARE])),
        Bar("lookups for an image", None, 0.02, Spread.of([saved.lookups / saved.images])),
        Bar(
            "bytes through the proxy for an image",
            None,
            200,
            Spread.of([saved.received_bytes / saved.images]),
        ),
    ]
    lines = ["| bar | wanted | found | |", "|---|---|---|---|"]
    for bar in bars:
        found = f"{bar.found.middle:.4g} ({bar.found.low:.4g} to {bar.found.high:.4g})"
        lines.append(f"| {bar.what} | {bar.bound} | {found} | {bar.verdict} |")
    return lines


def _ratios(costs: list[Cost], to: list[Cost]) -> Spread:
    return Spread.of([one.rate / other.rate for one, other in zip(costs, to, strict=True)])


def _ratio(costs: list[Cost], to: list[Cost]) -> float:
    return _ratios(costs, to).middle


if __name__ == "__main__":
    main()
