"""Workers are asked what their models take; what nobody describes has a reason."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from tests.contract.openapi.models import IMAGE, TABLE
from tests.support.canned_server import nobody
from tests.support.described_workers import describes, model_page, worker_row
from tests.support.fake_worker import fake_worker
from tfleet.proxy.admin.model_descriptions import (
    MOST_VERSIONS,
    Descriptions,
    bounded,
    describe,
    workers_to_ask,
)
from tfleet.proxy.balancing.member import WorkerState
from tfleet.proxy.balancing.versions import ModelVersion

KEY = ModelVersion("m", "1")


def test_one_ready_worker_of_each_version_is_asked() -> None:
    rows = [
        worker_row("m", "10", name="a"),
        worker_row("m", "9", WorkerState.STARTING, name="b"),
        worker_row("m", "9", name="c"),
        worker_row("m", "9", name="d"),
        worker_row("a", "1", name="e"),
        worker_row("z", "1", WorkerState.EJECTED, name="f"),
    ]
    asked = workers_to_ask(rows)
    assert [(key, row.instance.id) for key, row in asked.items()] == [
        (("a", "1"), "e"),
        (("m", "9"), "c"),
        (("m", "10"), "a"),
    ]


async def test_a_worker_describes_its_model() -> None:
    async with fake_worker() as worker, aiohttp.ClientSession() as session:
        seen: list[str] = []
        describes(worker, model_page("a/b c", "1"), seen)
        key = ModelVersion("a/b c", "1")
        found = await describe(session, {key: worker_row(*key, address=worker.address)})
        assert found.models[key].name == "a/b c"
        assert found.missing == {}
        assert seen == ["/models/a%2Fb%20c"]


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        ("text", "worker w gave a description that can't be read: the page is no object"),
        ({"name": "m"}, "worker w gave a description that can't be read: signatures is no object"),
        (model_page("m", "2"), "worker w described another model than the one that it is registered with"),
        (model_page("n", "1"), "worker w described another model than the one that it is registered with"),
        (model_page("m", "1", *(f"{number:0500}" for number in range(3000))), "has description of over"),
    ],
)
async def test_a_page_that_is_no_description_has_a_reason(page: Any, reason: str) -> None:
    async with fake_worker() as worker, aiohttp.ClientSession() as session:
        describes(worker, page)
        found = await describe(session, {KEY: worker_row("m", "1", address=worker.address)})
        assert found.models == {}
        assert reason in found.missing[KEY]


async def test_nested_lists_are_no_description() -> None:
    async with fake_worker() as worker, aiohttp.ClientSession() as session:
        describes(worker, None)
        nested = b"[" * 500_000 + b"]" * 500_000

        async def answer(_: Any) -> aiohttp.web.Response:
            return aiohttp.web.Response(body=nested, content_type="application/json")

        worker.answer = answer
        found = await describe(session, {KEY: worker_row("m", "1", address=worker.address)})
        assert "it is no JSON" in found.missing[KEY]


async def test_a_worker_that_cannot_be_reached_has_a_reason() -> None:
    async with aiohttp.ClientSession() as session:
        found = await describe(session, {KEY: worker_row("m", "1", address=nobody())})
        assert found.missing[KEY].startswith("worker w gave no description: ")


async def test_a_hung_worker_holds_up_nobody() -> None:
    async with fake_worker() as hung, fake_worker() as other, aiohttp.ClientSession() as session:
        hung.hung = True
        describes(other, model_page("n", "1"))
        second = ModelVersion("n", "1")
        asked = {
            KEY: worker_row("m", "1", address=hung.address),
            second: worker_row("n", "1", address=other.address),
        }
        found = await describe(session, asked, within_s=1.5)
        assert set(found.models) == {second}
        # The time-out of a page is longer, and would be another reason.
        assert found.missing == {KEY: "its worker gave no description within 1.5 s"}


async def test_a_bounded_number_of_versions_is_described() -> None:
    async with fake_worker() as worker, aiohttp.ClientSession() as session:
        seen: list[str] = []
        describes(worker, {}, seen)
        keys = [ModelVersion("m", str(number)) for number in range(MOST_VERSIONS + 2)]
        asked = {key: worker_row(*key, address=worker.address) for key in keys}
        found = await describe(session, asked)
        assert len(seen) == MOST_VERSIONS
        assert found.missing[keys[-1]] == f"at most {MOST_VERSIONS} versions are described"
        assert len(found.missing) == len(keys)


def test_the_inputs_and_outputs_of_all_versions_are_bounded() -> None:
    assert (TABLE.tensors, IMAGE.tensors) == (6, 2)
    first, second, third = (ModelVersion("n", version) for version in "123")
    found = bounded(Descriptions({first: TABLE, second: TABLE, third: IMAGE}, {KEY: "why"}), most_tensors=8)
    assert set(found.models) == {first, third}
    assert found.missing[second] == "at most 8 inputs and outputs of all versions are described"
    assert found.missing[KEY] == "why"


async def test_a_worker_of_a_static_list_is_asked_for_its_model_first() -> None:
    async with fake_worker() as worker, aiohttp.ClientSession() as session:
        seen: list[str] = []
        describes(worker, model_page("wine", "3"), seen)
        key = ModelVersion("", "")
        found = await describe(session, {key: worker_row("", "", address=worker.address)})
        assert (found.models[key].name, found.models[key].version) == ("wine", "3")
        assert seen == ["/models", "/models/wine"]
        describes(worker, [])
        found = await describe(session, {key: worker_row("", "", address=worker.address)})
        assert found.missing[key] == "worker w gave a list of models that can't be read"
