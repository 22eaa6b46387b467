"""What the page says of photographs."""

from __future__ import annotations

from typing import Final

from benchmarks.bulk.photographs import CONNECTIONS, LOAD_S, PhotoFigures
from benchmarks.bulk.program import MEMORY_MB
from benchmarks.bulk.text import bar_lines, paragraph, spread_text
from benchmarks.report.bar import Bar
from benchmarks.report.spread import Spread

OVER_WORKER: Final = 0.95
"""Of the images/s of a worker under load."""


def photographs_text(figures: PhotoFigures) -> list[str]:
    """The section."""
    rounds = figures.rounds
    most_mb = Spread.of([one.ours.process.most_bytes / 1e6 for one in rounds])
    bars = [
        Bar("images/s, against a worker's", OVER_WORKER, None, figures.ratio),
        Bar("images for a second of CPU, against a worker's", OVER_WORKER, None, figures.cpu_ratio),
        Bar("most memory of `tfleet score`", None, MEMORY_MB, most_mb, " MB"),
    ]
    ours = spread_text([one.ours.per_second for one in rounds], 1)
    worker = spread_text([one.worker_per_second for one in rounds], 1)
    worker_ms = spread_text([one.worker_cpu_s * 1000 for one in rounds], 1)
    ours_ms = spread_text([figures.cpu_s(one) * 1000 for one in rounds], 1)
    return [
        *paragraph(
            f"{figures.photographs:,} photographs of {figures.mean_bytes / 1000:.0f} kB on average, no two",
            "alike, made from four, and tfleet's default model in float32. The worker gets the same",
            f"photographs in forms over {CONNECTIONS} connections from wrk, which shares the CPUs with it:",
            f"for {LOAD_S} s before each run of `tfleet score` and again after it, and its figure is the",
            "mean of both. It is stopped while `tfleet score` runs. A ratio is taken within a round; shown",
            "are the middle and, in brackets, the least and the most. Starting and loading the model are",
            "not counted.",
            *figures.around.sentences(),
        ),
        "",
        *bar_lines(bars),
        "",
        "| | images/s | CPU of an image, ms |",
        "|---|---|---|",
        f"| `tfleet score` | {ours} | {ours_ms} |",
        f"| a worker | {worker} | {worker_ms} |",
    ]
