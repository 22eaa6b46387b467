from benchmarks.protocols.bodies import JSON, NPY, V2_BINARY
from benchmarks.protocols.measure import Cost
from benchmarks.protocols.page import Measured, bars, page, ratios
from benchmarks.report.spread import Spread

PIXELS = {
    NPY: [Cost(1.0, 2.0), Cost(2.0, 2.0), Cost(4.0, 2.0)],
    V2_BINARY: [Cost(1.1, 2.2), Cost(2.0, 2.2), Cost(4.8, 2.2)],
}
ROW = {JSON: [Cost(0.2, 0.2)] * 3, V2_BINARY: [Cost(0.3, 0.3)] * 3}
MEASURED = Measured(
    PIXELS,
    ROW,
    ({NPY: 600, V2_BINARY: 700}, {JSON: 60, V2_BINARY: 70}),
    Spread(0.1, 0.0, 0.2),
)


def test_protocols_are_compared_within_a_round() -> None:
    found = ratios(PIXELS, V2_BINARY, NPY)
    assert [round(each, 6) for each in (found.low, found.middle, found.high)] == [1.0, 1.1, 1.2]


def test_a_bar_is_met_or_missed_by_the_median() -> None:
    assert [bar.met for bar in bars(MEASURED)] == [False]


def test_the_page_has_all_protocols_and_bars() -> None:
    text = page(MEASURED, "a command")
    assert f"| {V2_BINARY} | 700 | 2.00 | 1.10 (1.00 to 1.20) | 2.20 |" in text
    assert f"| {NPY} | 600 | 2.00 | 1 | 2.00 |" in text
    assert f"| {V2_BINARY} | 70 | 0.30 | 1.50 (1.50 to 1.50) | 0.30 |" in text
    assert "| at most 1.05 | 1.10 (1.00 to 1.20) | **missed** by 4.8% |" in text
