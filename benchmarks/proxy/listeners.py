"""`python -m benchmarks.proxy.listeners`: requests a second of one proxy with `--listeners` 1 and 2.

Both stand in front of one bare nginx, as in `make bench-proxy`, and are loaded in turn with a 35 kB multipart
POST by wrk, which has to be installed (Debian: apt-get install nginx wrk). Load, backend and proxy share the
processors, so that with more of them there is more to gain. It writes docs/benchmarks/listeners.md and takes
a minute. Quote the ratio: machines differ.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.load.form import Form
from benchmarks.proxy.load import has_wrk, load
from benchmarks.proxy.peers import ANSWER_BYTES
from benchmarks.report.machine import busy, machine
from benchmarks.report.server_process import Server, server
from benchmarks.report.spread import Spread
from tests.support.canned_server import nobody

ROOT: Final = Path(__file__).parents[2]
LISTENERS: Final = (1, 2)
CONNECTIONS: Final = (32, 256)
_CONF: Final = Path(__file__).with_name("backend.conf")
_LOOK_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Found:
    """The figures of one proxy under one load."""

    per_second: float
    p99_ms: float
    cpu_us: float


Round = dict[tuple[int, int], Found]
"""By listeners and connections."""


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.proxy.listeners", description=(__doc__ or "").split("\n\n", 1)[1]
    )
    parser.add_argument("--rounds", type=int, default=5, help="how often all is measured (default: 5)")
    parser.add_argument("--seconds", type=int, default=3, help="for each figure of a round (default: 3)")
    options = parser.parse_args()
    if not has_wrk():
        raise SystemExit("wrk is not installed: a generator that takes more of the processors would hide it")
    form = Form.of((ROOT / "tests/data/cat.jpg").read_bytes())
    strangers, rounds = [], []
    with _proxies() as proxies:
        for proxy in proxies.values():
            proxy.ready(form)
        for number in range(options.rounds):
            for proxy in proxies.values():
                proxy.settle()
            strangers.append(busy(_LOOK_S))
            order = [(count, many) for many in CONNECTIONS for count in LISTENERS]
            cells = order[::-1] if number % 2 else order
            rounds.append({cell: _found(proxies[cell[0]], form, cell[1], options.seconds) for cell in cells})
    page = _page(rounds, Spread.of(strangers), options.seconds)
    (ROOT / "docs/benchmarks/listeners.md").write_text(page)
    print(page)


@contextlib.contextmanager
def _proxies() -> Iterator[dict[int, Server]]:
    """By their number of listeners."""
    with tempfile.TemporaryDirectory(prefix="tfleet-bench-") as folder, contextlib.ExitStack() as stack:
        backend = nobody()
        conf = Path(folder) / "backend.conf"
        conf.write_text(_CONF.read_text().format(port=backend.port, folder=folder, answer="x" * ANSWER_BYTES))
        nginx = subprocess.Popen(["nginx", "-p", folder, "-c", str(conf)], stderr=subprocess.DEVNULL)
        stack.callback(nginx.wait)
        stack.callback(nginx.terminate)
        found = {}
        for count in LISTENERS:
            at = nobody()
            options = ("--port", str(at.port), "--listeners", str(count), "--log-format", "json")
            command = ("proxy", *options, "--registry", f"static:{backend}")
            name = f"--listeners {count}"
            found[count] = stack.enter_context(server(name, f"{at.url}/", "tfleet", command))
        yield found


def _found(proxy: Server, form: Form, connections: int, seconds: int) -> Found:
    load(proxy.url, form, connections, 1)  # connections to the backend, warm code
    proxy.settle()
    used_s = proxy.cpu_s()
    sent = load(proxy.url, form, connections, seconds)
    if sent.failed or not sent.answered:
        raise SystemExit(f"this run counts for nothing: {proxy.name}: {sent.failed} requests failed")
    return Found(sent.per_second, sent.p99_ms, (proxy.cpu_s() - used_s) / sent.answered * 1e6)


def _page(rounds: Sequence[Round], strangers: Spread, seconds: int) -> str:
    command = shlex.join([".venv/bin/python", "-m", "benchmarks.proxy.listeners", *sys.argv[1:]])
    rows = [_row(rounds, count, many) for many in CONNECTIONS for count in LISTENERS]
    return f"""# What a second listener brings

`{command}` on {datetime.date.today()}: {machine()}.

One `tfleet proxy` in front of one bare nginx that reads the body and answers 300 bytes, a
multipart POST of 35 kB, load by wrk on the same CPUs, {seconds} s for each figure, {len(rounds)} rounds,
every other one backwards. CPU is the processor time of all of the proxy's processes by the
answers. Shown are the middle and, in brackets, the least and the most; *times* is the requests a
second against those of one listener in the same round. No request failed. Before the rounds, while
all of this was idle, the machine was using
{strangers.middle:.2f} ({strangers.low:.2f} to {strangers.high:.2f}) CPUs.

| `--listeners` | connections | requests/s | times | p99 ms | CPU µs |
|---|---|---|---|---|---|
{chr(10).join(rows)}
"""


def _row(rounds: Sequence[Round], count: int, many: int) -> str:
    found = [one[count, many] for one in rounds]
    times = [one[count, many].per_second / one[LISTENERS[0], many].per_second for one in rounds]
    cells = [
        str(count),
        str(many),
        _figure([one.per_second for one in found], ",.0f"),
        "" if count == LISTENERS[0] else _figure(times, ".2f"),
        _figure([one.p99_ms for one in found], ".1f"),
        _figure([one.cpu_us for one in found], ".0f"),
    ]
    return f"| {' | '.join(cells)} |"


def _figure(values: Sequence[float], form: str) -> str:
    found = Spread.of(values)
    return f"{found.middle:{form}} ({found.low:{form}} to {found.high:{form}})"


if __name__ == "__main__":
    main()
