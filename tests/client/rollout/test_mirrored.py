"""What came of mirrored requests: the sum over all proxies, and its line."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.canned_server import canned, http, nobody
from tfleet.client.http.transport import Transport
from tfleet.client.rollout.mirrored import MirroredSum, add_up, ask_mirrored, mirrored_line
from tfleet.discovery.instance import Instance


def page(version: str = "2", **counts: float) -> list[Any]:
    return [{"name": "other", "mirrored": None}, {"name": "m", "mirrored": {"version": version, **counts}}]


def test_proxies_are_added_up() -> None:
    seen = add_up(
        [page(agreed=3, differed=1, largest_difference=0.5), page(agreed=2, largest_difference=0.25), None],
        "m",
        "2",
    )
    assert (seen.results["agreed"], seen.results["differed"]) == (5, 1)
    assert (seen.largest_difference, seen.silent_proxies) == (0.5, 1)


@pytest.mark.parametrize(
    "odd",
    [[], [1], [{"name": "m"}], [{"name": "m", "mirrored": None}], page("3", agreed=9), page(agreed="x")],  # type: ignore[arg-type] # on purpose
)
def test_a_proxy_without_counts_adds_nothing(odd: list[Any]) -> None:
    seen = add_up([odd, page(agreed=1)], "m", "2")
    assert seen.results["agreed"] == 1


@pytest.mark.parametrize(
    ("results", "difference", "line"),
    [
        ({}, 0.0, "mirrored 5 %: 0 compared"),
        (
            {"agreed": 1_199, "differed": 5, "failed": 2},
            0.00312,
            "mirrored 5 %: 1,204 compared, 99.5 % agree, largest difference 0.00312, 2 failed",
        ),
        ({"measured": 7}, 3.0, "mirrored 5 %: 7 compared, largest difference 3"),
        (
            {"agreed": 9_999, "differed": 1},
            0.0,
            "mirrored 5 %: 10,000 compared, 99.9 % agree, largest difference 0",
        ),
        ({"skipped": 3, "not_comparable": 1}, 0.0, "mirrored 5 %: 0 compared, 1 not comparable, 3 skipped"),
    ],
)
def test_the_line_says_how_many_agree(results: dict[str, int], difference: float, line: str) -> None:
    assert mirrored_line(5.0, MirroredSum(results, difference, 1)) == line


async def test_all_proxies_are_asked_and_the_silent_counted() -> None:
    body = json.dumps({"models": page(agreed=4)}).encode()
    transport = Transport(connect_timeout_s=1, max_connections=2)
    with canned(http("200 OK", body, "Content-Type: application/json")) as address:
        proxies = [Instance("p1", address), Instance("p2", nobody())]
        try:
            found = await ask_mirrored(transport, proxies, {"m": "2", "other": "1"})
        finally:
            await transport.close()
    assert (found["m"].results["agreed"], found["m"].silent_proxies) == (4, 1)
    assert (await ask_mirrored(transport, [], {"m": "2"}))["m"] == MirroredSum()
    assert mirrored_line(1.0, MirroredSum()).endswith("no proxy is registered that could say what came of it")
    assert mirrored_line(1.0, found["other"]) == "mirrored 1 %: 0 compared, 1 proxy did not say"
