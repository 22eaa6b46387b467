"""A stage holds only if nothing failed, shares are as planned, and no other version answered."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.rollout.page import Row, rollout_json, rollout_page, verdict
from benchmarks.rollout.stage import Stage

GOOD = Stage("10 %", 1000, 0, {"1": 890, "2": 110}, 12.3, {"1": 90.0, "2": 10.0})


def test_a_stage_as_planned_holds() -> None:
    assert GOOD.problem == ""


@pytest.mark.parametrize(
    ("stage", "problem"),
    [
        (replace(GOOD, versions={"1": 879, "2": 121}), "version 1 got 87.90 % instead of 90 %"),
        (replace(GOOD, versions={"1": 900, "2": 99, "3": 1}), "version 3 got 0.10 % instead of 0 %"),
        (replace(GOOD, wanted={"1": 100.0}), "version 1 got 89.00 % instead of 100 %"),
        (replace(GOOD, versions={}), "nothing was answered"),
        (replace(GOOD, failed=2, failures=("503: busy", "404")), "2 failed: 503: busy"),
        (replace(GOOD, broken="it was taken early"), "it was taken early"),
    ],
)
def test_a_stage_says_what_does_not_hold(stage: Stage, problem: str) -> None:
    assert stage.problem == problem


def test_without_planned_shares_any_version_may_answer() -> None:
    assert replace(GOOD, wanted={}, versions={"1": 1}).problem == ""


def test_the_page_says_which_stages_did_not_hold() -> None:
    rows = [Row("embedded", GOOD), Row("consul", replace(GOOD, failed=1, failures=("a reset",), note="why"))]
    assert verdict(rows) == "2,000 requests in 2 stages, 1 failed: **1 of 2 stages did not hold**."
    page = rollout_page(rows, command="python -m x", rate=250, strangers=0.5)
    assert "| embedded | 10 % | 1,000 | 0 | 1: 89.00 (90), 2: 11.00 (10) | 12 | yes |" in page
    assert "| consul | 10 % | 1,000 | 1 | 1: 89.00 (90), 2: 11.00 (10) | 12 | 1 failed: a reset |" in page
    assert "| consul | 10 % | why |" in page
    assert [row["problem"] for row in rollout_json(rows)] == ["", "1 failed: a reset"]
