from benchmarks.bulk.text import HEAD, TITLES, bar_lines, spread_text, with_section
from benchmarks.report.bar import Bar
from benchmarks.report.spread import Spread


def test_a_section_replaces_the_one_that_the_page_had() -> None:
    page = with_section(HEAD, "kills", ["old"])
    page = with_section(page, "rows", ["the rows", "", "| a | table |"])
    assert with_section(page, "kills", ["new"]) == page.replace("old", "new")


def test_sections_have_one_order_whenever_they_were_measured() -> None:
    page = HEAD
    for name in reversed(TITLES):
        page = with_section(page, name, [f"of {name}"])
    titles = [line.removeprefix("## ") for line in page.splitlines() if line.startswith("## ")]
    assert titles == list(TITLES.values())
    assert page.startswith(HEAD)


def test_a_bar_says_by_how_much_it_was_missed() -> None:
    lines = bar_lines([Bar("images/s", 0.95, None, Spread(0.76, 0.7, 0.8))])
    assert lines[-1] == "| images/s | at least 0.95 | 0.76 (0.70 to 0.80) | **missed** by 20.0% |"


def test_a_single_round_has_no_spread() -> None:
    assert (spread_text([1234.5], 0), spread_text([1, 3, 2], 1)) == ("1,234", "2.0 (1.0 to 3.0)")
