"""The pass of `tfleet retrain` over photographs, beside a worker under the load of a client."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.bulk.circumstances import Circumstances
from benchmarks.bulk.make_photos import make_photos
from benchmarks.bulk.photographs import CONNECTIONS, LOAD_S, Load, worker_load
from benchmarks.bulk.text import bar_lines, paragraph, spread_text
from benchmarks.load import wrk
from benchmarks.load.form import Form
from benchmarks.report.bar import Bar
from benchmarks.report.server_process import server
from benchmarks.report.spread import Spread
from benchmarks.training.embed import backbone, embed
from tests.support.canned_server import nobody
from tfleet.training.local_embedder import LocalEmbedder

PHOTOGRAPHS: Final = 1000
_LEAST: Final = 0.9


@dataclass(frozen=True, slots=True)
class _Round:
    """A pass between two loads of the worker: photographs a second, and seconds of CPU for one."""

    before: Load
    per_second: float
    cpu_s: float
    after: Load

    @property
    def ratio(self) -> float:
        return 2 * self.per_second / (self.before.per_second + self.after.per_second)

    @property
    def cpu_ratio(self) -> float:
        return (self.before.cpu_s + self.after.cpu_s) / 2 / self.cpu_s


def speed(photographs: int, rounds: int) -> list[str]:
    """Measure in turns; the lines of the section."""
    if wrk.found() is None:
        raise SystemExit("this needs wrk: apt-get install wrk")
    around = Circumstances()
    found = []
    port = nobody().port
    options = ("--registry", "static:", "--port", str(port), "--precision", "float32", "--log-level", "error")
    with tempfile.TemporaryDirectory(prefix="tfleet-bench-") as name, backbone() as embedder:
        folder = Path(name)
        root = folder / "photographs"
        root.mkdir()
        names = [*make_photos(root / "one", photographs - 1), *make_photos(root / "other", 1)]
        forms = [Form.of(path.read_bytes()) for path in names]
        with server("worker", f"http://127.0.0.1:{port}/", "tfleet", ["worker", *options]) as worker:
            worker.ready(forms[0])
            for number in range(rounds):
                worker.settle()
                around.look()
                before = worker_load(worker, forms)
                worker.sleep()
                per_second, cpu_s = _pass(embedder, root, folder / str(number))
                worker.wake()
                found.append(_Round(before, per_second, cpu_s, worker_load(worker, forms)))
        kb = sum(path.stat().st_size for path in names) / len(names) / 1000
    return _text(found, photographs, kb, around)


def _pass(embedder: LocalEmbedder, root: Path, cache: Path) -> tuple[float, float]:
    """Photographs a second, and seconds of CPU for each, of a pass that finds nothing in its cache."""
    used_s = time.process_time()
    found = embed(embedder, root, cache)
    return found.made / found.seconds, (time.process_time() - used_s) / found.made


def _text(found: Sequence[_Round], photographs: int, kb: float, around: Circumstances) -> list[str]:
    def all_of(what: str) -> Spread:
        return Spread.of([getattr(one, what) for one in found])

    bars = [
        Bar("photographs/s of the pass, against the worker", _LEAST, None, all_of("ratio")),
        Bar("s of CPU of the worker for one, against the pass", _LEAST, None, all_of("cpu_ratio")),
    ]
    loads = [load for one in found for load in (one.before, one.after)]
    return [
        *paragraph(
            f"{photographs:,} photographs of {kb:.0f} kB on average, made from four, and the default model "
            "in float32. A pass finds nothing in its cache. The worker gets the same photographs over "
            f"{CONNECTIONS} connections from wrk, which shares the CPUs with it, for {LOAD_S} s before each "
            "pass and after it. A ratio is taken within a round.",
            *around.sentences(),
        ),
        "",
        *bar_lines(bars),
        "",
        "| | photographs/s | s for 1,000 | ms of CPU for one |",
        "|---|---|---|---|",
        "| pass of `tfleet retrain` | "
        f"{spread_text([one.per_second for one in found], 0)} | "
        f"{spread_text([1000 / one.per_second for one in found], 1)} | "
        f"{spread_text([one.cpu_s * 1000 for one in found], 1)} |",
        "| worker | "
        f"{spread_text([load.per_second for load in loads], 0)} | "
        f"{spread_text([1000 / load.per_second for load in loads], 1)} | "
        f"{spread_text([load.cpu_s * 1000 for load in loads], 1)} |",
    ]
