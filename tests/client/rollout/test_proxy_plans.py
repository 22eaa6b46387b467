"""Whether a proxy's answer to `GET /models` shows a plan."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.canned_server import canned, http, nobody
from tfleet.client.http.transport import HttpResponse, Transport
from tfleet.client.rollout.fleet_state import plan_document
from tfleet.client.rollout.proxy_plans import ShownPlan, ask_proxies, difference
from tfleet.contract.address import Address
from tfleet.discovery.instance import Instance
from tfleet.discovery.plan import Canary, Plan

PLAN = Plan("1", Canary("2", 10.0), labels={"b": "1", "a": "2"})


def page(plan: Plan | None, model: str = "m") -> dict[str, Any]:
    other = {"name": "other", "default": False, "versions": [], "labels": {}, "plan": None}
    return {"models": [other, {**other, "name": model, "plan": plan_document(plan)}]}


def said(document: object, status: int = 200) -> str:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return difference(HttpResponse("http://p/models", status, {}, body), "m", PLAN)


def test_the_same_plan_is_recognized() -> None:
    assert said(page(PLAN)) == ""
    whole = plan_document(PLAN)
    assert whole is not None
    assert said({"models": [{"name": "m", "plan": {**whole, "percent": 10}}]}) == ""


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (page(Plan("1", Canary("2", 50.0))), "it has another plan of the model"),
        (page(None), "it has no plan of the model yet"),
        (page(PLAN, "m2"), "it does not know the model yet"),
        (
            {"models": [{"name": "m", "plan": {"stable": 1}}]},
            "it has a plan that can't be read: stable is not a",
        ),
        ({"models": [{"name": "m"}]}, "it does not list models"),
        ({"models": ["m"]}, "it does not list models"),
        ({"name": "flowers", "versions": []}, "it does not list models"),
        (b"[]", "which is not what tfleet says"),
        (b"[" * 99_999, "which is not what tfleet says"),
    ],
)
def test_any_other_answer_says_what_is_missing(document: object, problem: str) -> None:
    assert problem in said(document)


def test_an_error_of_the_proxy_is_quoted() -> None:
    assert said({"status": 404, "detail": "no such page"}, 404) == "http://p/models: no such page"


async def test_all_proxies_are_asked() -> None:
    answer = http("200 OK", json.dumps(page(PLAN)).encode(), "Content-Type: application/json")
    away = nobody()
    transport = Transport(connect_timeout_s=1, max_connections=2)
    with canned(answer) as address, canned(b"what?\r\n\r\n") as odd:
        try:
            shown = await ask_proxies(transport, [proxy(address), proxy(away), proxy(odd)], "m", PLAN)
        finally:
            await transport.close()
    assert shown[0] == ShownPlan(f"p-{address.port}", str(address))
    assert shown[1].problem.startswith("it does not answer: ")
    assert "does not speak HTTP" in shown[2].problem
    assert shown[1].document()["shows_plan"] is False


def proxy(address: Address) -> Instance:
    return Instance(f"p-{address.port}", address)
