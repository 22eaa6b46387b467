"""`python -m benchmarks.servers`: what a WSGI server costs, and which rules of a worker's end it keeps.

It sends raw 35 kB POSTs over 8 connections to a Flask view that does nothing, counts the processor time of
the server's processes, then ends each under load, and writes docs/benchmarks/servers.md.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import datetime
import importlib.util
import itertools
import json
import socket
import statistics
import sys
from pathlib import Path

from benchmarks.form import Form
from benchmarks.load import sent
from benchmarks.machine import machine, versions
from benchmarks.process import server
from benchmarks.servers.hosts import HOST, HOSTS
from benchmarks.servers.rules import end, health_while_busy

ROOT = Path(__file__).parents[2]
_CONNECTIONS = 8
_WARM = 300
_IMAGE = ROOT / "tests/data/cat.jpg"


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """One server: microseconds of processor time for a request in each round, and the rules that it keeps."""

    cpu_us: tuple[float, ...]
    healthy_while_busy: bool
    finishes: bool
    tells: bool
    takes_new: bool


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.servers", description=(__doc__ or "").split("\n\n")[1]
    )
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured (default: 3)")
    parser.add_argument("--requests", type=int, default=3000, help="in each round (default: 3000)")
    parser.add_argument("--json", action="store_true", help="print the figures instead of writing the table")
    options = parser.parse_args()
    missing = [name for name in ("cheroot", "granian", "gunicorn") if importlib.util.find_spec(name) is None]
    if missing:
        raise SystemExit(f"{', '.join(missing)} not installed: pip install '.[bench]' -c constraints.txt")
    found = measure(options.rounds, options.requests)
    if options.json:
        print(json.dumps({"machine": machine()} | {n: dataclasses.asdict(f) for n, f in found.items()}))
        return
    table = _table(found, options.rounds, options.requests)
    (ROOT / "docs/benchmarks/servers.md").write_text(table)
    print(table)


def measure(rounds: int, requests: int) -> dict[str, Found]:
    """All servers, taking turns in each round."""
    cpu_us: dict[str, list[float]] = {name: [] for name in HOSTS}
    for number, name in itertools.product(range(rounds), HOSTS):
        cpu_us[name].append(_cpu_us(name, requests))
        print(f"round {number + 1}: {name} {cpu_us[name][-1]:.0f} µs", file=sys.stderr, flush=True)
    found = {}
    for name in HOSTS:
        port, form = _free_port(), _form()
        with server(name, f"http://{HOST}:{port}/", "benchmarks.servers.hosts", [name, str(port)]) as running:
            running.ready(form)
            found[name] = Found(tuple(cpu_us[name]), health_while_busy(running), *end(running))
        print(name, found[name], file=sys.stderr, flush=True)
    return found


def _cpu_us(name: str, requests: int) -> float:
    port, form = _free_port(), _form()
    url = f"http://{HOST}:{port}/"
    with server(name, url, "benchmarks.servers.hosts", [name, str(port)]) as running:
        running.ready(form)
        request = form.request(url)
        asyncio.run(sent(url, itertools.repeat(request, _WARM), _CONNECTIONS))
        before_s = running.cpu_s()
        figures = asyncio.run(sent(url, itertools.repeat(request, requests), _CONNECTIONS))
        if figures.failed:
            raise SystemExit(f"{name}: {figures.failed} of {requests} requests failed")
        return (running.cpu_s() - before_s) / requests * 1e6


def _form() -> Form:
    return Form(_IMAGE.read_bytes(), "image/jpeg")


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as taken:
        return int(taken.getsockname()[1])


def _table(found: dict[str, Found], rounds: int, requests: int) -> str:
    command = f".venv/bin/python -m benchmarks.servers --rounds {rounds} --requests {requests}"
    used = versions(["waitress", "cheroot", "gunicorn", "granian", "flask", "werkzeug"])
    lines = [
        "# What a WSGI server costs, and what it loses at its end",
        "",
        f"`{command}` on {datetime.date.today()}: {machine()};",
        f"{used}.",
        "",
        f"Raw POSTs of 35 kB over {_CONNECTIONS} connections to a Flask view that reads the body and does",
        f"nothing: microseconds of processor time of all of a server's processes, {rounds} rounds in turns.",
        "Then the rules:",
        "",
        "1. health is answered while all threads are busy;",
        "2. after SIGTERM a request in flight that takes 7 seconds is finished;",
        "3. meanwhile who asks over a connection that was idle is answered, and told that it ends;",
        "4. meanwhile who comes new is answered.",
        "",
        "| | µs a request, least | middle | 1 | 2 | 3 | 4 |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, one in found.items():
        rules = (one.healthy_while_busy, one.finishes, one.tells, one.takes_new)
        kept = " | ".join("yes" if rule else "no" for rule in rules)
        lines.append(f"| {name} | {min(one.cpu_us):.0f} | {statistics.median(one.cpu_us):.0f} | {kept} |")
    lines += [
        "",
        "`tfleet` is what a worker uses: waitress in its own process, with what `worker/wsgi/` adds.",
        "Rules 3 and 4 need a server that goes on serving after the signal for as long as the fleet may",
        "still send requests; none does by itself. granian and gunicorn run the application in a process of",
        "their own, so the one that holds the session would not be the one that decides when to refuse.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
