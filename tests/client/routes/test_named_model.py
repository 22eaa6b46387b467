"""A client that names a model asks for it on both ways, and uses no worker of another one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from tfleet.client import AsyncFleetClient, UnexpectedAnswerError
from tfleet.client.routes.lookup import FoundWorker
from tfleet.client.routes.named_model import DEFAULT_MODEL, NamedModel
from tfleet.contract.address import Address

if TYPE_CHECKING:
    from tests.client.conftest import Handler, Scripted, ScriptedFleet

WORKER = FoundWorker("w1", Address("h", 1), "a b", "1/2")


@pytest.mark.parametrize(
    ("named", "at_a_proxy", "at_a_worker", "asked"),
    [
        (DEFAULT_MODEL, "/predict", "/predict", ""),
        (NamedModel("a b"), "/models/a%20b/predict", "/models/a%20b/predict", "model=a b"),
        (
            NamedModel("a b", version="1/2"),
            "/models/a%20b/versions/1%2F2/predict",
            "/models/a%20b/versions/1%2F2/predict",
            "model=a b version=1/2",
        ),
        (
            NamedModel("a b", label="prod"),
            "/models/a%20b/labels/prod/predict",
            "/models/a%20b/versions/1%2F2/predict",
            "model=a b label=prod",
        ),
    ],
)
def test_paths_and_lookups_name_the_model(
    named: NamedModel, at_a_proxy: str, at_a_worker: str, asked: str
) -> None:
    assert (named.path(), named.path_at(WORKER)) == (at_a_proxy, at_a_worker)
    assert " ".join(f"{key}={value}" for key, value in named.query) == asked


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"version": "1"}, "needs a model"),
        ({"label": "prod"}, "needs a model"),
        ({"model": "m", "version": "1", "label": "prod"}, "not both"),
        ({"model": ""}, "must be printable ASCII"),
        ({"model": "a\nb"}, "must be printable ASCII"),
    ],
)
def test_names_that_cannot_be_are_refused(names: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AsyncFleetClient(**names)  # type: ignore[arg-type] # all of them are texts


def lease(worker: Scripted, **row: str) -> Handler:
    """A lease of one worker, with what its row says of its model."""

    async def handler(_: web.Request) -> web.StreamResponse:
        rows: list[Any] = [{"id": "tfleet-w1", "address": worker.address, "weight": 1.0, **row}]
        return web.Response(body=json.dumps({"workers": rows, "expires_in_s": 10}).encode())

    return handler


async def test_forward_mode_names_the_model_in_the_path(fleet: ScriptedFleet) -> None:
    proxy = fleet.server()
    async with AsyncFleetClient(proxy.url, model="flowers", label="prod") as client:
        await client.classify(b"BM image", top=2)
    assert [seen.path for seen in proxy.seen] == ["/models/flowers/labels/prod/predict?top=2"]


async def test_p2p_names_it_in_lookup_and_path(fleet: ScriptedFleet) -> None:
    worker = fleet.server()
    proxy = fleet.server(otherwise=lease(worker, model="flowers", version="3"))
    async with AsyncFleetClient(proxy.url, p2p=True, model="flowers", label="prod") as client:
        await client.classify(b"BM image")
    assert [seen.path for seen in worker.seen] == ["/models/flowers/versions/3/predict"]
    (asked,) = [seen.path for seen in proxy.seen]
    assert asked.startswith("/worker?n=")
    assert asked.endswith("&model=flowers&label=prod")


@pytest.mark.parametrize("row", [{"model": "dogs", "version": "4"}, {"model": "flowers", "version": "3"}, {}])
async def test_a_worker_of_another_model_gets_nothing(fleet: ScriptedFleet, row: dict[str, str]) -> None:
    worker = fleet.server()
    proxy = fleet.server(otherwise=lease(worker, **row))
    async with AsyncFleetClient(proxy.url, p2p=True, model="flowers", version="4") as client:
        with pytest.raises(UnexpectedAnswerError, match="for flowers, version 4"):
            await client.classify(b"BM image")
    assert worker.seen == []
