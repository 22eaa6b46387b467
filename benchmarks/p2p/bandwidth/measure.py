"""The rounds of `make bench-bandwidth`: what is sent, through which proxy, and what its link carried."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from benchmarks.p2p.bandwidth.load import IMAGE, Sent
from benchmarks.p2p.bandwidth.network import Node, network
from benchmarks.report.machine import busy

Mode = Literal["forward", "p2p"]
WORKERS: Final = (1, 2, 4, 8)
IMAGE_BYTES: Final = 250_000
SMALL_BYTES: Final = IMAGE.stat().st_size
LARGE_BYTES: Final = 1_000_000
_OTHER_SIZES_AT: Final = 4  # workers
_CALLS: Final[dict[Mode, int]] = {
    "p2p": 3,  # for each worker: one of them may wait while another one is sent
    "forward": 8,  # in all: there is one link to fill
}
_PORT: Final = 8000
_START_S: Final = 30.0
_LOOK_S: Final = 0.05
_STRANGERS_S: Final = 1.0
_PATIENCE_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Cell:
    """What is measured."""

    mode: Mode
    workers: int
    image_bytes: int = IMAGE_BYTES

    @property
    def calls(self) -> int:
        """The number of calls in flight."""
        return _CALLS[self.mode] * (self.workers if self.mode == "p2p" else 1)

    @property
    def size(self) -> str:
        """As in `images of 250 kB`."""
        return f"images of {self.image_bytes / 1000:,.0f} kB"


CELLS: Final = (
    *(Cell(mode, workers) for workers in WORKERS for mode in ("forward", "p2p")),
    *(Cell("p2p", _OTHER_SIZES_AT, size) for size in (SMALL_BYTES, LARGE_BYTES)),
)


@dataclass(frozen=True, slots=True)
class Found:
    """Images a second, and the bytes of each that passed the proxy's link, to it and from it together."""

    per_second: float
    answered: int
    proxy_bytes: float


@dataclass(frozen=True, slots=True)
class Fleet:
    """A client, workers, and for each number N of workers a proxy that knows the first N."""

    client: Node
    proxy: Node
    proxies: dict[int, str]

    def measured(self, cell: Cell, seconds: float) -> Found:
        """Measure one load. Ends the program if an image failed: the run is not valid then."""
        command = [
            *(sys.executable, "-m", "benchmarks.p2p.bandwidth.load", "--proxy", self.proxies[cell.workers]),
            *("--calls", str(cell.calls), "--seconds", str(seconds)),
            *("--image-bytes", str(cell.image_bytes), *(["--p2p"] if cell.mode == "p2p" else [])),
        ]
        before = self.proxy.passed_bytes()
        said = subprocess.run(
            self.client.command(command),
            capture_output=True,
            text=True,
            timeout=seconds + _PATIENCE_S,
            check=False,
        )
        passed = self.proxy.passed_bytes() - before
        if said.returncode != 0:
            raise SystemExit(f"the load ended with {said.returncode}: {said.stderr[-1000:]}")
        sent = Sent(**json.loads(said.stdout))
        if sent.failed:
            raise SystemExit(f"this run counts for nothing: of {cell} {sent.failed} failed, {sent.error}")
        return Found(sent.per_second, sent.answered, passed / sent.answered)


@contextlib.contextmanager
def fleet(rate_mbit: float) -> Iterator[Fleet]:
    """A fleet that serves inside the block. Raises CannotMakeError."""
    with network() as net, contextlib.ExitStack() as stack:
        client, proxy = net.node("client"), net.node("proxy", rate_mbit)
        starting, addresses, proxies = [], [], {}
        for number in range(max(WORKERS)):
            node = net.node(f"worker{number}", rate_mbit)
            addresses.append(f"{node.address}:{_PORT}")
            starting.append(_start(node, "benchmarks.p2p.bandwidth.fake_worker", addresses[-1], stack=stack))
        _wait_for(starting)  # a proxy looks at its workers when it starts
        for number, workers in enumerate(WORKERS):
            options = ("--host", proxy.address, "--port", str(_PORT + number), "--log-format", "json")
            registry = ("--registry", f"static:{','.join(addresses[:workers])}")
            starting.append(_start(proxy, "tfleet", "proxy", *options, *registry, stack=stack))
            proxies[workers] = f"{proxy.address}:{_PORT + number}"
        _wait_for(starting)
        yield Fleet(client, proxy, proxies)


def rounds(
    count: int, seconds: float, rate_mbit: float, say: Callable[[str], None]
) -> tuple[list[dict[Cell, Found]], list[float]]:
    """All cells, in each round once, and how many processors others used before it. Every other round goes
    backwards. Raises CannotMakeError.
    """
    found, strangers = [], []
    with fleet(rate_mbit) as running:
        for number in range(count):
            strangers.append(busy(_STRANGERS_S))
            cells: Sequence[Cell] = CELLS[::-1] if number % 2 else CELLS
            one = {}
            for cell in cells:
                say(f"round {number + 1} of {count}: {cell.mode}, {cell.workers} workers, {cell.size}")
                one[cell] = running.measured(cell, seconds)
            found.append(one)
    return found, strangers


def _start(
    node: Node, module: str, *arguments: str, stack: contextlib.ExitStack
) -> tuple[subprocess.Popen[bytes], Path]:
    """Start a module that prints its address once it listens; return it and its output file."""
    log = stack.enter_context(tempfile.NamedTemporaryFile(prefix="tfleet-bench-"))  # noqa: SIM115 - the stack closes it
    process = stack.enter_context(node.running([sys.executable, "-m", module, *arguments], log))
    return process, Path(log.name)


def _wait_for(starting: Sequence[tuple[subprocess.Popen[bytes], Path]]) -> None:
    deadline_s = time.monotonic() + _START_S
    for process, log in starting:
        while "listening" not in (said := log.read_text(errors="replace")):
            if process.poll() is not None or time.monotonic() > deadline_s:
                raise SystemExit(f"{process.args!r} did not start: {said[-2000:]}")
            time.sleep(_LOOK_S)
