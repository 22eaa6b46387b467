"""Lookups, leases and redirects of a fleet of several versions name the one that was asked for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.planned_fleet import asked, fleet_of

SERVED = ("m/1", "m/2", "other/7")


def named(row: dict[str, Any]) -> str:
    return f"{row['model']}/{row['version']}"


@pytest.mark.parametrize(
    ("query", "label"),
    [
        ("model=m", "m/2"),
        ("model=m&version=1", "m/1"),
        ("model=m&label=prod", "m/1"),
        ("model=m&label=stable", "m/2"),
        ("model=other", "other/7"),
    ],
)
async def test_a_lookup_and_a_lease_name_the_version(query: str, label: str) -> None:
    async with fleet_of(*SERVED) as (proxy, served):
        answer, text = await asked(proxy, f"/worker?{query}")
        assert (answer.headers["X-Model"], answer.headers["X-Worker"]) == (label, label)
        assert named(json.loads(text)) == label
        rows = json.loads((await asked(proxy, f"/worker?n=8&{query}"))[1])["workers"]
        assert [(named(row), row["address"]) for row in rows] == [(label, str(served[label].address))]


@pytest.mark.parametrize(
    ("path", "target", "label"),
    [
        ("/models/m/predict?top=2", "/models/m/predict?top=2", "m/2"),
        ("/models/m/versions/1/predict", "/models/m/versions/1/predict", "m/1"),
        ("/models/m/labels/prod/predict?x=a%20b", "/models/m/versions/1/predict?x=a%20b", "m/1"),
        ("/models/m/labels/stable", "/models/m/versions/2", "m/2"),
        ("/models/m/embed", "/models/m/embed", "m/2"),
        ("/models/m/labels/prod/embed", "/models/m/versions/1/embed", "m/1"),
    ],
)
async def test_a_redirect_goes_to_the_version_without_labels(path: str, target: str, label: str) -> None:
    async with fleet_of(*SERVED) as (proxy, served):
        answer, _ = await asked(proxy, path, method="POST")
        assert (answer.status, answer.headers["X-Model"], answer.headers["X-Worker"]) == (307, label, label)
        assert answer.headers["Location"] == served[label].address.url + target


@pytest.mark.parametrize("path", ["/worker?model=m&label=x", "/worker?n=2&model=m&version=9", "/models/x"])
async def test_what_there_is_not_is_a_404_with_names(path: str) -> None:
    async with fleet_of(*SERVED) as (proxy, _):
        answer, text = await asked(proxy, path)
        assert (answer.status, answer.headers["Content-Type"]) == (404, "application/problem+json")
        assert "there is " in json.loads(text)["detail"]


async def test_a_forwarded_label_is_answered_by_its_version() -> None:
    async with fleet_of(*SERVED, mode="forward") as (proxy, served):
        answer, _ = await asked(proxy, "/models/m/labels/prod/predict?top=1", method="POST")
        assert (answer.status, answer.headers["X-Worker"]) == (200, "m/1")
        assert [seen.path for seen in served["m/1"].seen] == ["/models/m/versions/1/predict?top=1"]
