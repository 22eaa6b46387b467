"""The report of a run of retraining: one page that needs no other."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from tests.support.retrain_results import some_results
from tfleet.training.evaluation import wilson
from tfleet.training.report import PICTURE_SIDE, report_page, write_report
from tfleet.training.report_sections import MOST_MISTAKES, percent, probability
from tfleet.training.results import (
    ClassResult,
    Confusion,
    Copies,
    Duplicates,
    Mislabel,
    Mislabels,
    Mistake,
    PassedOver,
    Photo,
    Results,
    Split,
)

HOSTILE = '"><script>alert(1)</script>\u202e'


class Elements(HTMLParser):
    """The tags and attributes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]


def square(_path: str) -> npt.NDArray[np.uint8]:
    return np.full((PICTURE_SIDE, PICTURE_SIDE, 3), 200, dtype=np.uint8)


def many_classes(count: int) -> Results:
    """Each class has one test photograph, which is taken for the next class."""
    labels = [f"class {each}" for each in range(count)]
    following = [*labels[1:], labels[0]]
    results = some_results()
    evaluation = replace(
        results.evaluation,
        accuracy=wilson(0, count),
        classes=[ClassResult(each, 1, 1, 1, wilson(0, 1)) for each in labels],
        confusions=[Confusion(*each, 1) for each in zip(labels, following, strict=True)],
        mistakes=[Mistake(f"{each}/1.jpg", each, "x", 0.9, 0.1) for each in labels],
        mistakes_total=count,
    )
    mislabels = Mislabels(
        [Mislabel(f"{each}/2.jpg", each, "x", 0.9, 0.1) for each in labels], count, count, 0
    )
    photos = [Photo(f"{each}/1.jpg", each, each, 1, Split.TEST) for each in labels[:30]]
    copies = Duplicates([Copies(photos, exact=True)] * min(count, 30), count)
    passed_over = [PassedOver(f"{each}.txt", f"reason {each}") for each in labels]
    return replace(
        results, evaluation=evaluation, mislabels=mislabels, duplicates=copies, passed_over=passed_over
    )


def test_both_files_are_written(tmp_path: Path) -> None:
    write_report(some_results(), square, tmp_path)
    assert json.loads((tmp_path / "report.json").read_text())["run"]["name"] == "plants"
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    for told in ("plants", "50 %", "between 9.0 and 91.0 %", "木/2.jpg", "it is cut off", "花/1.jpg"):
        assert told in page
    pictures = [value for name, value in Elements(page).attributes if name == "src"]
    assert len(pictures) == 4, "a mistake, a mislabel, and two copies"
    assert all(each.startswith("data:image/jpeg;base64,") for each in pictures)


def test_nothing_is_loaded_from_elsewhere() -> None:
    page = report_page(some_results(), {"木/2.jpg": "data:image/jpeg;base64,AA=="})
    found = Elements(page)
    assert not {"script", "link", "iframe", "a", "object", "form"} & set(found.tags)
    assert re.findall(r"(?i)https?:|url\(|@import|//", page) == []
    assert ("content", "default-src 'none'; img-src data:; style-src 'unsafe-inline'") in found.attributes


def test_names_from_outside_stay_text(tmp_path: Path) -> None:
    results = some_results()
    evaluation = replace(
        results.evaluation,
        classes=[ClassResult(HOSTILE, 1, 0, 1, wilson(0, 1)), ClassResult("\udce9", 1, 0, 0, wilson(0, 0))],
        confusions=[Confusion(HOSTILE, "\udce9", 1)],
        mistakes=[Mistake(HOSTILE, HOSTILE, "\udce9", 0.9, 0.1)],
        untested=[HOSTILE],
    )
    photo = Photo(HOSTILE, HOSTILE, "0", 1, Split.TRAIN)
    hostile = Results(
        run=replace(results.run, name=HOSTILE),
        evaluation=evaluation,
        mislabels=Mislabels([Mislabel(HOSTILE, HOSTILE, "\udce9", 0.9, 0.1)], 1, 1, 0),
        duplicates=Duplicates([Copies([photo, photo], exact=True)], 1),
        photos=[photo],
        passed_over=[PassedOver(HOSTILE, HOSTILE)],
        warnings=[HOSTILE],
    )
    write_report(hostile, square, tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "alert(1)" in page
    assert "<script" not in page
    assert "\u202e" not in page
    assert "script" not in Elements(page).tags
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["photos"][0]["path"] == HOSTILE


@pytest.mark.parametrize("count", [2, 20, 21, 1000])
def test_a_page_of_many_classes_stays_bounded(count: int) -> None:
    results = many_classes(count)
    page = report_page(results, {})
    assert ('class="matrix"' in page) == (count <= 20)
    assert page.count("<figure>") <= 24 + 36 + 20 * 6
    assert len(page) < 1_000_000


def test_a_bounded_number_of_photos_is_looked_at(tmp_path: Path) -> None:
    asked: list[str] = []

    def remember(path: str) -> None:
        asked.append(path)

    write_report(many_classes(1000), remember, tmp_path)
    assert len(asked) == len(set(asked)) <= 24 + 36 + 20 * 6
    page = (tmp_path / "report.html").read_text()
    assert page.count("can&#x27;t be shown") >= MOST_MISTAKES


def test_what_was_not_looked_for_is_said() -> None:
    page = report_page(replace(some_results(), mislabels=None, duplicates=None), {})
    assert page.count("This run has not looked for them.") == 2


def test_a_run_without_tests_has_a_report() -> None:
    results = some_results()
    nothing = replace(
        results.evaluation,
        accuracy=wilson(0, 0),
        majority=wilson(0, 0),
        classes=[ClassResult("花", 2, 0, 0, wilson(0, 0))],
        confusions=(),
        mistakes=(),
        mistakes_total=0,
        untested=("花",),
    )
    page = report_page(replace(results, evaluation=nothing), {})
    assert "the test has no photographs" in page
    assert "largest class" not in page
    assert "none in the test" in page


@pytest.mark.parametrize(
    ("right", "total", "text"),
    [
        (0, 0, "unknown"),
        (0, 3, "0 %"),
        (3, 3, "100 %"),
        (999, 1001, "99.8 %"),
        (399, 400, "99 %"),
        (1, 400, "1 %"),
    ],
)
def test_percent_never_says_all_of_less(right: int, total: int, text: str) -> None:
    assert percent(wilson(right, total)) == text


def test_a_probability_is_never_rounded_to_certainty() -> None:
    assert [probability(each) for each in (0.5, 0.9999, 1.0, 0.0001, 0.994)] == [
        "0.50",
        "0.999",
        "0.999",
        "0.001",
        "0.99",
    ]
