"""The targets of a worker."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.load.photos import LARGE, SMALL
from benchmarks.report.bar import Bar
from benchmarks.worker.round_figures import Cell, Round, ceiling_way, plain_way, spread
from benchmarks.worker.subjects import LITSERVE, UNBATCHED, WORKER, WORKER_BFLOAT16


def bars(rounds: Sequence[Round]) -> list[Bar]:
    """The targets of a worker: throughput, latency, decoding, and bfloat16 where it was measured."""
    found = [*_throughput(rounds), *_latency(rounds), *_images(rounds)]
    if any(cell.subject == WORKER_BFLOAT16 for cell in rounds[0].cells):
        plain = plain_way(rounds)
        of_plain = spread(rounds, lambda one: _per_second(one, WORKER_BFLOAT16) / one.ways[plain])
        found.append(
            Bar("images/s in bfloat16 at 32 connections, against one caller in float32", 1.7, None, of_plain)
        )
    return found


def _throughput(rounds: Sequence[Round]) -> list[Bar]:
    ceiling, plain = ceiling_way(rounds), plain_way(rounds)
    return [
        Bar(
            "images/s at 32 connections, against one caller in-process with the best batch size",
            0.95,
            None,
            spread(rounds, lambda one: _per_second(one, WORKER) / one.ways[plain]),
        ),
        Bar(
            "images/s at 32 connections, against the best of all ways in-process",
            0.95,
            None,
            spread(rounds, lambda one: _per_second(one, WORKER) / one.ways[ceiling]),
        ),
        Bar(
            "images/s at 32 connections, against LitServe's",
            1.15,
            None,
            spread(rounds, lambda one: _per_second(one, WORKER) / _per_second(one, LITSERVE)),
        ),
    ]


def _latency(rounds: Sequence[Round]) -> list[Bar]:
    return [
        Bar(
            "p50 at 1 connection, against one image in-process",
            None,
            1.10,
            spread(rounds, lambda one: _p50_ms(one, WORKER) / one.single_ms),
        ),
        Bar(
            "p50 at 1 connection, against batching off",
            None,
            1.02,
            spread(rounds, lambda one: _p50_ms(one, WORKER) / _p50_ms(one, UNBATCHED)),
        ),
    ]


def _images(rounds: Sequence[Round]) -> list[Bar]:
    return [
        Bar(
            f"decoding {LARGE} in-process",
            None,
            25,
            spread(rounds, lambda one: one.decode_ms[LARGE]),
            " ms",
        ),
        Bar(
            f"classifying {LARGE} in-process, against {SMALL}",
            None,
            10,
            spread(rounds, lambda one: one.large_ms / one.single_ms),
        ),
        Bar(
            "a new worker's first request, against its next ones",
            None,
            1.5,
            spread(rounds, lambda one: one.first),
        ),
    ]


def _per_second(one: Round, subject: str) -> float:
    return one.cells[Cell(subject, SMALL, 32)].per_second


def _p50_ms(one: Round, subject: str) -> float:
    return one.cells[Cell(subject, SMALL, 1)].p50_ms
