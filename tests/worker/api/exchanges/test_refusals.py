"""Each refusal is the same in every coding and through a proxy: a status, and JSON for all clients."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.worker.api.exchanges.infer_forms import CODINGS, packed_as
from tests.worker.api.exchanges.refusals import REFUSALS, Refusal
from tests.worker.api.exchanges.ways import Answer, Way

pytestmark = pytest.mark.process

_ENCODING = "Content-Encoding"


def sent(way: Way, refusal: Refusal, coding: str) -> Answer:
    headers = {name: value for name, value in refusal.headers.items() if value}
    if coding:
        headers[_ENCODING] = coding
    return way.post(refusal.path, packed_as(coding, refusal.body), headers)


def read(answer: Answer, refusal: Refusal) -> dict[str, Any]:
    """The error, with all that any client looks for in it."""
    assert answer.status == refusal.status, answer.body
    assert answer.headers["Content-Type"] == "application/json"
    page: dict[str, Any] = json.loads(answer.body)
    assert page.keys() == {"error", "title", "status", "detail", "success"}
    assert (page["detail"], page["status"], page["success"]) == (page["error"], refusal.status, False)
    assert refusal.said in page["error"]
    assert page["error"].isprintable()
    return page


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda each: each.title)
def test_every_form_is_refused_alike(ways: dict[str, Way], refusal: Refusal) -> None:
    for coding in ("",) if _ENCODING in refusal.headers else CODINGS:
        by_worker, by_proxy = (read(sent(way, refusal, coding), refusal) for way in ways.values())
        assert refusal.by_proxy or by_worker == by_proxy
