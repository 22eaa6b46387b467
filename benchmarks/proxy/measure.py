"""The rounds of `make bench-proxy`: each proxy is measured with each load, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from benchmarks.load.form import Form
from benchmarks.proxy import peers as who
from benchmarks.proxy.load import Sent, has_wrk, load
from benchmarks.proxy.memory import Memory
from benchmarks.proxy.peers import Peers

Kind = Literal["post", "half load", "large", "lookup"]
CONNECTIONS: Final = (1, 32, 256)
LARGE_CONNECTIONS: Final = 8
LARGE_BYTES: Final = 10_000_000
_LOOKUPS: Final = frozenset({who.LOOKUP, who.NODE_LOOKUP})
_MIDDLE: Final = 32
_CALIBRATION_S: Final = 2


@dataclass(frozen=True, slots=True)
class Cell:
    """A proxy, a load and a number of connections."""

    subject: str
    kind: Kind
    connections: int


@dataclass(frozen=True, slots=True)
class Found:
    """Answers a second, latencies, and processor time of an answer."""

    per_second: float
    p50_ms: float
    p99_ms: float
    answered: int
    cpu_us: float


Round = dict[Cell, Found]


class Measure:
    """Measures the rounds."""

    def __init__(self, peers: Peers, photo: bytes, seconds: int, say: Callable[[str], None]) -> None:
        self._peers = peers
        self._photo = Form.of(photo)
        self._large = Form.of(photo.ljust(LARGE_BYTES, b"\0"))
        self._seconds = seconds
        self._say = say
        forwards = [one for one in peers.servers if one not in _LOOKUPS | {who.DIRECT}]
        self.growth_bytes = {one: self._growth_bytes(one) for one in forwards}
        self.think_ms = 0
        """How long, on average, each connection waits before its request at half load, in the last round."""
        self.cells = cells(list(peers.servers), half_load=has_wrk())

    def round(self, number: int) -> Round:
        """Measure each cell once. Cells that are compared are neighbours; every other round is reversed."""
        if has_wrk():
            self.think_ms = self._think_ms()  # anew each time: a machine with neighbours changes its speed
        order = self.cells[::-1] if number % 2 else self.cells
        return {cell: self._found(cell) for cell in order}

    def _found(self, cell: Cell) -> Found:
        server = self._peers.servers[cell.subject]
        form = {"lookup": None, "large": self._large}.get(cell.kind, self._photo)
        self._load(cell, form, 1)  # connections to the backend, warm code
        server.settle()
        used_s = server.cpu_s()
        sent = self._load(cell, form, self._seconds, self.think_ms if cell.kind == "half load" else 0)
        # What is still in flight is no answer of the load.
        cpu_us = (server.cpu_s() - used_s) / max(1, sent.answered) * 1e6
        server.settle()
        return Found(sent.per_second, sent.p50_ms, sent.p99_ms, sent.answered, cpu_us)

    def _growth_bytes(self, subject: str) -> float:
        """For each 10 MB body in flight, of a proxy that has had none yet: it may keep what it had."""
        server = self._peers.servers[subject]
        self._load(Cell(subject, "post", LARGE_CONNECTIONS), self._photo, 1)
        memory = Memory(server.group)
        self._load(Cell(subject, "large", LARGE_CONNECTIONS), self._large, self._seconds)
        server.settle()
        return memory.growth_bytes() / LARGE_CONNECTIONS

    def _think_ms(self) -> int:
        """How long each of 32 connections waits between two requests so that tfleet is half busy."""
        self._load(Cell(who.TFLEET, "post", _MIDDLE), self._photo, 1)
        most = self._load(Cell(who.TFLEET, "post", _MIDDLE), self._photo, _CALIBRATION_S)
        alone = self._load(Cell(who.TFLEET, "post", 1), self._photo, 1)
        return max(1, round(_MIDDLE / (most.per_second / 2) * 1000 - alone.p50_ms))

    def _load(self, cell: Cell, form: Form | None, seconds: int, think_ms: int = 0) -> Sent:
        """Measure a load. Ends the program if a request failed: the run is not valid then."""
        what = f"{cell.subject}, {cell.kind}, {cell.connections} connections"
        self._say(what)
        sent = load(self._peers.servers[cell.subject].url, form, cell.connections, seconds, think_ms)
        if sent.failed or not sent.answered:
            lost = f"{sent.failed} requests failed, {sent.answered} were answered"
            raise SystemExit(f"this run counts for nothing: {what}: {lost}")
        return sent


def cells(subjects: Sequence[str], *, half_load: bool) -> list[Cell]:
    """What a round measures."""
    forwards = [one for one in subjects if one not in _LOOKUPS]
    found = [Cell(one, "post", connections) for connections in CONNECTIONS for one in forwards]
    if half_load:
        rivals = [one for one in (who.NGINX, who.HAPROXY, who.TFLEET) if one in forwards]
        found += [Cell(one, "half load", _MIDDLE) for one in rivals]
    found += [Cell(one, "large", LARGE_CONNECTIONS) for one in forwards]
    return found + [Cell(one, "lookup", _MIDDLE) for one in (who.NODE_LOOKUP, who.LOOKUP) if one in subjects]
