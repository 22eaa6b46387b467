"""`python -m benchmarks.worker.memory`: whether a worker grows with the requests that it has served.

It sends a hundred thousand real photographs through a whole worker with a small graph, so that it takes
minutes and not hours, looks now and then at the worker's memory, and writes docs/benchmarks/memory.md.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import datetime
import itertools
import json
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from benchmarks.load import closed_loop
from benchmarks.load.form import Form
from benchmarks.load.photos import MIDDLE, photos
from benchmarks.proxy.soak.growth import mb_per_100k
from benchmarks.report.machine import machine
from benchmarks.report.server_process import Server, server
from benchmarks.report.validity import short, verdict
from tests.support.canned_server import nobody
from tests.support.graphs import write_model

PAGE = Path(__file__).parents[2] / "docs/benchmarks/memory.md"
_DATA = Path(__file__).parents[2] / "tests/data"
_REQUESTS = 100_000
_CONNECTIONS = 16
_EVERY = 1_000
_WARM = 0.2  # the share of the requests in which pools and caches take what they need once
_LARGE_ONES = 100  # one request in so many is larger
_BAR_MB = 1.0
_ROWS = 10


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """How long it took, and the worker's memory after so many requests each."""

    seconds: float
    samples: list[tuple[int, int]]

    @property
    def mb_per_10k(self) -> float:
        """The slope of the line through the samples of the warm worker, by least squares."""
        warm = [one for one in self.samples if one[0] >= self.samples[-1][0] * _WARM]
        return mb_per_100k(warm) / 10


def main() -> None:
    """Send and write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.worker.memory", description=(__doc__ or "").split("\n\n", 1)[1]
    )
    parser.add_argument(
        "--requests", type=int, default=_REQUESTS, help=f"how many to send (default: {_REQUESTS})"
    )
    parser.add_argument("--json", action="store_true", help="print the figures instead of writing the page")
    options = parser.parse_args()
    images = [path.read_bytes() for path in sorted(_DATA.glob("*.jpg"))]
    port = nobody().port
    with tempfile.TemporaryDirectory(prefix="tfleet-bench-") as folder:
        model = write_model(Path(folder) / "shares/1")
        arguments = ("worker", "--model", str(model), "--registry", "static:", "--port", str(port))
        with server("worker", f"http://127.0.0.1:{port}/", "tfleet", arguments) as worker:
            worker.ready(Form.of(images[0]))
            run = asyncio.run(_run(worker, images, options.requests))
    if options.json:
        print(json.dumps({"machine": machine(), "mb_per_10k": run.mb_per_10k} | dataclasses.asdict(run)))
        return
    PAGE.write_text(_page(run))
    print(_page(run))


async def _run(worker: Server, images: list[bytes], requests: int) -> Run:
    kinds = [Form.of(image).request(worker.url) for image in images * (_LARGE_ONES // len(images))]
    kinds[-1] = Form.of(photos()[MIDDLE]).request(worker.url)
    samples: list[tuple[int, int]] = []
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("sending", total=requests)

        def tell(answered: int) -> None:
            if answered % _EVERY == 0:
                samples.append((answered, worker.resident_bytes))
                progress.update(task, completed=answered)

        began_s = time.monotonic()
        sending = itertools.islice(itertools.cycle(kinds), requests)
        figures = await closed_loop.sent(worker.url, sending, _CONNECTIONS, tell)
    if figures.failed:
        raise SystemExit(f"this run counts for nothing: {figures.failed} requests failed")
    return Run(time.monotonic() - began_s, samples)


def _page(run: Run) -> str:
    command = " ".join([".venv/bin/python -m benchmarks.worker.memory", *sys.argv[1:]])
    sent = run.samples[-1][0]
    met = "met" if run.mb_per_10k < _BAR_MB else "**missed**"
    said = verdict(met, short("requests", sent, _REQUESTS))
    return "\n".join(
        [
            "# What a worker holds after a hundred thousand photographs",
            "",
            f"`{command}` on {datetime.date.today()}: {machine()}.",
            "",
            f"{sent:,} requests in {run.seconds:.0f} s over {_CONNECTIONS} connections, JPEGs of 35 to 86 kB",
            f"and every {_LARGE_ONES}th of 500 kB, with a graph that takes next to no time. After the",
            f"first {_WARM:.0%} the memory grew by **{run.mb_per_10k:.3f} MB for 10,000 requests** (slope",
            f"of the line through the samples, by least squares). The bar is {_BAR_MB:g} MB: {said}.",
            "",
            "| after requests | resident MB |",
            "|---|---|",
            *(
                f"| {count:,} | {resident / 1e6:.1f} |"
                for count, resident in run.samples[:: max(1, len(run.samples) // _ROWS)]
            ),
            "",
        ]
    )


if __name__ == "__main__":
    main()
