"""The page of `make bench`, docs/benchmarks/workers.md."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.load.photos import LARGE, SMALL
from benchmarks.report.machine import QUIET, has_bfloat16, machine, versions
from benchmarks.report.spread import Spread
from benchmarks.report.validity import crowded, short, verdict
from benchmarks.worker.bars import bars
from benchmarks.worker.batch_strategies import Strategy, absurd
from benchmarks.worker.peers.litserve_settings import BATCH_TIMEOUT_S, MAX_BATCH_SIZE
from benchmarks.worker.round_figures import ROUNDS, SECONDS, Cell, Round, ceiling_way, spread
from benchmarks.worker.subjects import FLASK, LITSERVE, WORKER_BFLOAT16

_PACKAGES = ("tensorflow-cpu", "litserve", "flask", "pillow", "numpy")
_ABOVE: Final = 1.1  # times the ceiling: a server that is faster shows that it is none


@dataclass(frozen=True, slots=True)
class Run:
    """The figures of all rounds, and the options of the run."""

    command: str
    generator: str
    seconds: float
    photo_bytes: dict[str, int]
    ways: dict[Strategy, float]
    restless: tuple[str, ...]
    rounds: list[Round]

    @property
    def cells(self) -> list[Cell]:
        """What was measured in each round."""
        return sorted(self.rounds[0].cells, key=lambda cell: cell.connections)

    @property
    def ceiling(self) -> Strategy:
        """The best way of all."""
        return ceiling_way(self.rounds)

    @property
    def above(self) -> list[Cell]:
        """Those in float32 that were faster than the ceiling, in the middle of the rounds."""
        small = [one for one in self.cells if one.photo == SMALL and one.subject != WORKER_BFLOAT16]
        return [one for one in small if self.of_ceiling(one).middle > _ABOVE]

    @property
    def doubts(self) -> list[str]:
        """Why nothing is judged by this run, if so."""
        return [
            *crowded(max(one.strangers for one in self.rounds)),
            *short("rounds", len(self.rounds), ROUNDS),
            *short("seconds for each figure", self.seconds, SECONDS),
            *(["the ceiling is doubtful"] if self.above or absurd(self.ways) else []),
        ]

    def of_ceiling(self, cell: Cell) -> Spread:
        """Images a second, against it."""
        return spread(self.rounds, lambda one: _per_second(one, cell) / one.ways[self.ceiling])


def page(run: Run, beside: Collection[str]) -> str:
    """The whole page, as Markdown. `beside` names the pages that there are in its folder."""
    count = len(run.rounds)
    return "\n".join(
        [
            "# Workers against the speed of TensorFlow",
            "",
            f"`{run.command}` on {datetime.date.today()}: {machine()}.",
            f"{versions(_PACKAGES)};",
            f"load by {run.generator}, on the same CPUs.",
            "",
            f"{count} rounds; each measures everybody for {run.seconds:g} s. A ratio is taken within a",
            "round; shown are the middle and, in brackets, the least and the most of all rounds. Everybody",
            "serves the same model in float32 with tfleet's own code for image and model, so that only the",
            "serving differs. No request failed.",
            *_strangers(run.rounds),
            "",
            "![images a second and latency](workers.png)",
            "",
            *_bars(run),
            "",
            *_small(run),
            "",
            *_larger(run),
            "",
            *_ceiling(run),
            "",
            *_notes(run),
            "",
            *links_to_others(beside),
        ]
    )


def links_to_others(beside: Collection[str]) -> list[str]:
    """What else is known, with links to the pages that there are."""
    found = [f"[{one}]({one}.md)" for one in ("overload", "memory") if f"{one}.md" in beside]
    return [f"See also: {', '.join(found)}.", ""] if found else []


def _strangers(rounds: Sequence[Round]) -> list[str]:
    found = spread(rounds, lambda one: one.strangers)
    lines = [f"Before the rounds, while all of this was idle, the machine was using {_text(found, 2)} CPUs."]
    if found.high > QUIET:
        lines.append("**Others were at work on it: these figures say little.**")
    return lines


def _bars(run: Run) -> list[str]:
    lines = ["| bar | wanted | found | |", "|---|---|---|---|"]
    for bar in bars(run.rounds):
        said = verdict(bar.verdict, run.doubts)
        lines.append(f"| {bar.what} | {bar.bound} | {_text(bar.found, 3)}{bar.unit} | {said} |")
    return lines


def _small(run: Run) -> list[str]:
    lines = [
        f"A JPEG of {SMALL}, best five labels out; *ratio* is against the ceiling:",
        "",
        "| | connections | images/s | ratio | p50 ms | p99 ms |",
        "|---|---|---|---|---|---|",
    ]
    for cell in run.cells:
        if cell.photo == SMALL:
            ratio = _text(run.of_ceiling(cell), 2)
            lines.append(f"| {cell.subject} | {cell.connections} | {_row(run, cell, ratio)} |")
    if run.above:
        names = ", ".join(f"{cell.subject} at {cell.connections}" for cell in run.above)
        lines += ["", f"**More than {_ABOVE:g} times the ceiling, which is then none: {names}.**"]
    return lines


def _larger(run: Run) -> list[str]:
    sizes = ", ".join(f"{name}: {size:,} bytes" for name, size in run.photo_bytes.items())
    lines = [
        f"Larger photographs ({sizes});",
        f"*ratio* is against the same with {SMALL}:",
        "",
        "| | photograph | connections | images/s | ratio | p50 ms | p99 ms |",
        "|---|---|---|---|---|---|---|",
    ]
    for cell in run.cells:
        if cell.photo != SMALL:
            small = Cell(cell.subject, SMALL, cell.connections)
            ratio = spread(run.rounds, lambda one: _per_second(one, cell) / _per_second(one, small))  # noqa: B023 - called at once
            row = _row(run, cell, _text(ratio, 2))
            lines.append(f"| {cell.subject} | {cell.photo} | {cell.connections} | {row} |")
    return lines


def _ceiling(run: Run) -> list[str]:
    single = spread(run.rounds, lambda one: one.single_ms)
    large = spread(run.rounds, lambda one: one.large_ms)
    most = spread(run.rounds, lambda one: one.ways[run.ceiling])
    decode = ", ".join(
        f"{name} {_text(spread(run.rounds, lambda one: one.decode_ms[name]), 1)}"  # noqa: B023 - called at once
        for name in run.photo_bytes
    )
    return [
        f"In-process, without a network: one image alone takes {_text(single, 1)} ms, one of {LARGE}",
        f"{_text(large, 1)} ms. Decoding alone takes, in ms,",
        f"{decode}.",
        f"The ceiling is {_text(most, 0)} images/s: {run.ceiling}.",
        "It is the best of the ways that each round tries, which were the best of all by the middle of some",
        "passes before:",
        "",
        "| way | images/s | in the rounds |",
        "|---|---|---|",
        *(f"| {way} | {_rate(run, way)} |" for way in run.ways),
    ]


def _rate(run: Run, way: Strategy) -> str:
    error = ", **an error: too fast to be true**" if way in absurd(run.ways) else ""
    tried = way in run.rounds[0].ways
    in_rounds = _text(spread(run.rounds, lambda one: one.ways[way]), 0) if tried else ""
    return f"{run.ways[way]:.0f}{error} | {in_rounds}"


def _notes(run: Run) -> list[str]:
    lines = [
        f"{FLASK} is the first idea: `app.run(threaded=True)`, one session, one image at a time,",
        f"`request.files`. {LITSERVE} has one process that computes, `max_batch_size={MAX_BATCH_SIZE}` and",
        f"`batch_timeout={BATCH_TIMEOUT_S}`, as its guide to fast serving has it.",
        "Batching off is `--max-batch 1`: a lone image takes the same way with it.",
        f"{FLASK} and the ways with two callers have TensorFlow's default number of threads that start",
        "operations (`inter_op_parallelism_threads=0`). A worker makes two runs at once and has two such",
        "threads; so have the other ways.",
    ]
    if run.restless:
        restless = ", ".join(run.restless)
        lines.append(f"Stopped while others were measured, as it uses a processor when idle: {restless}.")
    if not has_bfloat16():
        lines.append("This processor has no bfloat16 (avx512_bf16, amx_bf16), so there are no rows of it.")
    return lines


def _row(run: Run, cell: Cell, ratio: str) -> str:
    rate, p50, p99 = (
        spread(run.rounds, lambda one: getattr(one.cells[cell], name))  # noqa: B023 - called at once
        for name in ("per_second", "p50_ms", "p99_ms")
    )
    return f"{rate.middle:.0f} | {ratio} | {p50.middle:.1f} | {p99.middle:.1f}"


def _per_second(one: Round, cell: Cell) -> float:
    return one.cells[cell].per_second


def _text(spread: Spread, digits: int) -> str:
    return f"{spread.middle:.{digits}f} ({spread.low:.{digits}f} to {spread.high:.{digits}f})"
