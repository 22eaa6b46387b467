"""`python -m benchmarks.worker.servers`: what a WSGI server costs, and how it shuts down.

It sends raw 35 kB POSTs over 1, 8 and 32 connections to a Flask view that does nothing, counts the processor
time of the server's processes, then ends each under load, and writes docs/benchmarks/servers.md.
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

from benchmarks.load.closed_loop import sent
from benchmarks.load.form import Form
from benchmarks.report.machine import machine, versions
from benchmarks.report.server_process import server
from benchmarks.worker.servers.hosts import HOST, HOSTS
from benchmarks.worker.servers.rules import end, health_while_busy

ROOT = Path(__file__).parents[3]
_CONNECTIONS = (1, 8, 32)
_WARM = 300
_IMAGE = ROOT / "tests/data/cat.jpg"


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """One server: microseconds of processor time for a request in each round, by the number of connections,
    and the rules that it keeps.
    """

    cpu_us: dict[int, tuple[float, ...]]
    healthy_while_busy: bool
    finishes: bool
    tells: bool
    takes_new: bool


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.worker.servers", description=(__doc__ or "").split("\n\n")[1]
    )
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured (default: 3)")
    parser.add_argument("--requests", type=int, default=3000, help="in each round (default: 3000)")
    parser.add_argument("--json", action="store_true", help="print the figures instead of writing the table")
    options = parser.parse_args()
    missing = [
        name
        for name in ("cheroot", "granian", "gunicorn", "waitress")
        if importlib.util.find_spec(name) is None
    ]
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
    measured: dict[str, list[dict[int, float]]] = {name: [] for name in HOSTS}
    for number, name in itertools.product(range(rounds), HOSTS):
        measured[name].append(_cpu_us(name, requests))
        print(f"round {number + 1}: {name} {measured[name][-1]}", file=sys.stderr, flush=True)
    found = {}
    for name in HOSTS:
        port, form = _free_port(), _form()
        with server(
            name, f"http://{HOST}:{port}/", "benchmarks.worker.servers.hosts", [name, str(port)]
        ) as running:
            running.ready(form)
            cpu_us = {each: tuple(one[each] for one in measured[name]) for each in _CONNECTIONS}
            found[name] = Found(cpu_us, health_while_busy(running), *end(running))
        print(name, found[name], file=sys.stderr, flush=True)
    return found


def _cpu_us(name: str, requests: int) -> dict[int, float]:
    """Microseconds for a request, by the number of connections."""
    port, form = _free_port(), _form()
    url = f"http://{HOST}:{port}/"
    with server(name, url, "benchmarks.worker.servers.hosts", [name, str(port)]) as running:
        running.ready(form)
        request = form.request(url)
        used_us = {}
        for connections in _CONNECTIONS:
            asyncio.run(sent(url, itertools.repeat(request, _WARM), connections))
            before_s = running.cpu_s()
            figures = asyncio.run(sent(url, itertools.repeat(request, requests), connections))
            if figures.failed:
                raise SystemExit(f"{name}: {figures.failed} of {requests} requests failed")
            used_us[connections] = (running.cpu_s() - before_s) / requests * 1e6
        return used_us


def _form() -> Form:
    return Form(_IMAGE.read_bytes(), "image/jpeg")


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as taken:
        return int(taken.getsockname()[1])


def _table(found: dict[str, Found], rounds: int, requests: int) -> str:
    command = f".venv/bin/python -m benchmarks.worker.servers --rounds {rounds} --requests {requests}"
    used = versions(["waitress", "cheroot", "gunicorn", "granian", "flask", "werkzeug"])
    lines = [
        "# What a WSGI server costs, and what it loses at its end",
        "",
        f"`{command}` on {datetime.date.today()}:",
        f"{machine()};",
        f"{used}.",
        "",
        "Raw POSTs of 35 kB over 1, 8 and 32 connections to a Flask view that reads the body and does",
        "nothing: microseconds of processor time of all of a server's processes for a request, the middle",
        f"and (the least) of {rounds} rounds in turns. Then the rules:",
        "",
        "1. health is answered while all threads are busy;",
        "2. after SIGTERM a request in flight that takes 7 seconds is finished;",
        "3. meanwhile a request on an idle connection is answered, and told that the connection ends;",
        "4. meanwhile a new connection is answered.",
        "",
        "| | µs at 1 connection | at 8 | at 32 | rule 1 | 2 | 3 | 4 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, one in found.items():
        rules = (one.healthy_while_busy, one.finishes, one.tells, one.takes_new)
        kept = " | ".join("yes" if rule else "no" for rule in rules)
        costs = " | ".join(f"{statistics.median(us):.0f} ({min(us):.0f})" for us in one.cpu_us.values())
        lines.append(f"| {name} | {costs} | {kept} |")
    lines += [
        "",
        "`tfleet` is what a worker uses: the HTTP server that the proxy has, too (`httpd/`), and Flask on it",
        "(`worker/wsgi/`), in the worker's own process. Until 2026-11 it was waitress with rules of our own.",
        "Rules 3 and 4 need a server that goes on serving after the signal for as long as the fleet may",
        "still send requests; none does by itself. granian and gunicorn run the application in a process of",
        "their own, so the one that holds the session would not be the one that decides when to refuse.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
