from dataclasses import replace

from benchmarks.load.photos import SMALL
from benchmarks.report.figures import Figures
from benchmarks.worker.batch_strategies import SERIAL, Strategy
from benchmarks.worker.page import Run, links_to_others
from benchmarks.worker.round_figures import Cell, Round
from benchmarks.worker.subjects import LITSERVE, WORKER, WORKER_BFLOAT16

_TWO = Strategy(16, 2, 0)
_RATES = {WORKER: 150.0, LITSERVE: 120.0, WORKER_BFLOAT16: 300.0}
_CELLS = {Cell(name, SMALL, 32): Figures(rate, 1.0, 2.0, 10, 0) for name, rate in _RATES.items()}
_ROUND = Round(0.0, {_TWO: 160.0, SERIAL: 115.0}, 9.0, 50.0, {SMALL: 1.0}, _CELLS, 1.0)
_RUN = Run("make bench", "wrk", 4, {SMALL: 1}, {SERIAL: 115.0, _TWO: 160.0}, (), [_ROUND] * 5)


def test_a_full_run_on_a_quiet_machine_leaves_no_doubt() -> None:
    assert _RUN.doubts == []


def test_few_short_or_disturbed_rounds_are_doubts() -> None:
    crowded = replace(_ROUND, strangers=0.5)
    run = replace(_RUN, seconds=2, rounds=[_ROUND, _ROUND, crowded])
    assert run.doubts == [
        "others used 0.50 CPUs",
        "3 rounds instead of 5",
        "2 seconds for each figure instead of 4",
    ]


def test_a_server_above_the_ceiling_is_named() -> None:
    """Nothing is judged by such a ceiling."""
    run = replace(_RUN, rounds=[replace(_ROUND, ways={_TWO: 130.0, SERIAL: 115.0})] * 5)
    assert run.above == [Cell(WORKER, SMALL, 32)]
    assert run.doubts == ["the ceiling is doubtful"]


def test_an_implausibly_fast_way_is_a_doubt() -> None:
    run = replace(_RUN, ways=_RUN.ways | {Strategy(8, 2, 0): 18_952.0})
    assert run.ceiling == _TWO
    assert run.doubts == ["the ceiling is doubtful"]


def test_only_existing_pages_are_linked() -> None:
    assert links_to_others({"overload.md", "pick.md"}) == ["See also: [overload](overload.md).", ""]
    assert links_to_others({"pick.md"}) == []
