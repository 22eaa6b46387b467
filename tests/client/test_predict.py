"""Rows and tensors: how they are sent, and what comes back, through a proxy and directly."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from aiohttp import web

from tfleet.client import (
    AsyncFleetClient,
    BadImageError,
    FleetClient,
    ModelAnswer,
    Prediction,
    RejectedInputError,
    RowResult,
    UnexpectedAnswerError,
    WorkerFailedError,
)
from tfleet.client.rows import ARROW

if TYPE_CHECKING:
    from tests.client.conftest import Handler, ScriptedFleet


async def doubling(request: web.Request) -> web.StreamResponse:
    """Answers each row with twice its x, in the form of the request."""
    if request.content_type == ARROW:
        with pa.ipc.open_stream(await request.read()) as reader:
            found = [2 * row["x"] for row in reader.read_all().to_pylist()]
        sink = pa.BufferOutputStream()
        batch = pa.record_batch({"y": found})
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        return web.Response(body=sink.getvalue().to_pybytes(), content_type=ARROW)
    rows = await request.json()
    one = isinstance(rows, dict)
    values = [2 * row["x"] for row in ([rows] if one else rows)]
    return web.json_response({"success": True, "outputs": {"y": values[0] if one else values}})


def answering(document: Any) -> Handler:
    async def handler(_request: web.Request) -> web.StreamResponse:
        return web.json_response(document)

    return handler


async def collected(client: AsyncFleetClient, rows: Any, **how: Any) -> list[RowResult]:
    async with aclosing(client.predict_rows(rows, **how)) as results:
        return [result async for result in results]


async def predict(fleet: ScriptedFleet, handler: Handler, inputs: Any, **how: Any) -> ModelAnswer:
    async with AsyncFleetClient(fleet.server(otherwise=handler).url) as client:
        return await client.predict(inputs, **how)


async def test_a_row_is_sent_as_json_with_numpys_types(fleet: ScriptedFleet) -> None:
    proxy = fleet.server(otherwise=answering({"success": True, "outputs": {"y": 1.5}}))
    row = {"x": np.float32(0.5), "v": np.array([1, 2]), "image": b"\xff\x00"}
    async with AsyncFleetClient(proxy.url) as client:
        answer = await client.predict(row, signature="other one")
    assert (answer.outputs, answer.predictions) == ({"y": 1.5}, ())
    assert answer.elapsed_ms > 0
    (seen,) = proxy.seen
    assert seen.path == "/predict?signature=other+one"
    assert seen.headers["Content-Type"] == "application/json"
    assert json.loads(seen.body) == {"x": 0.5, "v": [1, 2], "image": {"b64": "/wA="}}


async def test_labels_come_as_predictions_for_one_row_and_many(fleet: ScriptedFleet) -> None:
    good, bad = {"label": "good", "probability": 0.9}, {"label": "bad", "score": -3}
    one = await predict(fleet, answering({"success": True, "predictions": [good, bad]}), {"x": 1}, top=2)
    assert one.predictions == (Prediction("good", 0.9), Prediction("bad", None, -3.0))
    many = await predict(fleet, answering({"success": True, "predictions": [[good], [bad]]}), [{}, {}])
    assert many.predictions == ((Prediction("good", 0.9),), (Prediction("bad", None, -3.0),))


@pytest.mark.parametrize(
    "document", [{}, {"outputs": 3}, {"predictions": [[{"label": 3}]]}, {"predictions": [3]}, []]
)
async def test_what_no_worker_answers_is_unexpected(fleet: ScriptedFleet, document: Any) -> None:
    with pytest.raises(UnexpectedAnswerError):
        await predict(fleet, answering(document), {"x": 1})


async def test_inputs_that_the_model_rejects_are_told(fleet: ScriptedFleet) -> None:
    with pytest.raises(RejectedInputError, match=r"^column 'x' is missing$") as caught:
        await predict(fleet, fleet.problem(400, "column 'x' is missing"), {"z": 1})
    assert caught.value.status == 400
    with pytest.raises(RejectedInputError, match="set is no number, string, list or array"):
        await predict(fleet, doubling, {"x": {1}})


@pytest.mark.parametrize("form", ["json", "arrow"])
async def test_rows_are_sent_in_batches_and_come_in_order(fleet: ScriptedFleet, form: Any) -> None:
    proxy = fleet.server(otherwise=doubling)
    async with AsyncFleetClient(proxy.url) as client:
        rows = ({"x": number} for number in range(25))
        found = await collected(client, rows, form=form, batch_rows=10)
    assert [row.outputs["y"] for row in found] == [2 * number for number in range(25)]
    assert len(proxy.seen) == 3
    assert {seen.headers.get("Accept", "") == ARROW for seen in proxy.seen} == {form == "arrow"}


@pytest.mark.parametrize("kind", ["table", "batch", "reader"])
async def test_arrow_data_is_sent_as_arrow(fleet: ScriptedFleet, kind: str) -> None:
    table = pa.table({"x": list(range(7))})
    rows = {"table": table, "batch": table.to_batches()[0], "reader": table.to_reader()}[kind]
    proxy = fleet.server(otherwise=doubling)
    async with AsyncFleetClient(proxy.url) as client:
        found = await collected(client, rows, batch_rows=4)
    assert [row.outputs["y"] for row in found] == [0, 2, 4, 6, 8, 10, 12]
    assert [seen.headers["Content-Type"] for seen in proxy.seen] == [ARROW, ARROW]


async def same_lengths_only(request: web.Request) -> web.StreamResponse:
    """Answers each row with the sum of its steps, and takes rows of one shape only, as a worker does."""
    if request.content_type == ARROW:
        with pa.ipc.open_stream(await request.read()) as reader:
            rows = reader.read_all().to_pylist()
    else:
        rows = await request.json()
    values = [np.array([row["x"] for row in rows])]  # raises for rows of different shapes: a 500
    sums = values[0].reshape(len(rows), -1).sum(axis=1).tolist()
    if request.content_type != ARROW:
        return web.json_response({"success": True, "outputs": {"y": sums}})
    sink = pa.BufferOutputStream()
    batch = pa.record_batch({"y": sums})
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return web.Response(body=sink.getvalue().to_pybytes(), content_type=ARROW)


UNEVEN = {
    "lists": [{"x": [1.0] * (1 + number % 3)} for number in range(12)],
    "lists of lists": [{"x": [[1.0] * (1 + number % 2)] * (1 + number % 3)} for number in range(12)],
    "arrays": [{"x": np.ones(1 + number % 3)} for number in range(12)],
}


@pytest.mark.parametrize(("idempotent", "requests"), [(None, 6), (False, 12)])
@pytest.mark.parametrize("form", ["json", "arrow", "table"])
@pytest.mark.parametrize("kind", ["lists", "arrays"])
async def test_rows_of_several_lengths_are_answered_in_order(
    fleet: ScriptedFleet, kind: str, form: Any, idempotent: Any, requests: int
) -> None:
    rows: Any = UNEVEN[kind]
    if form == "table":
        rows, form = pa.Table.from_pylist(rows), None
    proxy = fleet.server(otherwise=same_lengths_only)
    async with AsyncFleetClient(proxy.url) as client:
        found = await collected(client, rows, form=form, batch_rows=6, idempotent=idempotent)
    assert [row.outputs["y"] for row in found] == [1 + number % 3 for number in range(12)]
    assert len(proxy.seen) == requests


@pytest.mark.parametrize("form", ["json", "arrow"])
async def test_lists_in_lists_have_shapes_too(fleet: ScriptedFleet, form: Any) -> None:
    proxy = fleet.server(otherwise=same_lengths_only)
    async with AsyncFleetClient(proxy.url) as client:
        found = await collected(client, UNEVEN["lists of lists"], form=form)
    wanted = [(1 + number % 2) * (1 + number % 3) for number in range(12)]
    assert [row.outputs["y"] for row in found] == wanted
    assert len(proxy.seen) == 6


async def test_rejected_rows_of_one_length_are_named(fleet: ScriptedFleet) -> None:
    async def picky(request: web.Request) -> web.StreamResponse:
        long = len((await request.json())[0]["x"]) == 2
        return await (fleet.problem(400, "row 1: null")(request) if long else same_lengths_only(request))

    rows = [{"x": [1.0] * (1 + number % 2)} for number in range(6)]
    seen = []

    async def read(client: AsyncFleetClient) -> None:
        async for row in client.predict_rows(rows):
            seen.append(row.outputs["y"])

    async with AsyncFleetClient(fleet.server(otherwise=picky).url) as client:
        with pytest.raises(RejectedInputError, match=r"^rows 1, 3, 5, sent together: row 1: null$"):
            await read(client)
    assert seen == [1]


async def test_rejected_rows_are_named_after_the_rows_before(fleet: ScriptedFleet) -> None:
    async def picky(request: web.Request) -> web.StreamResponse:
        rows = await request.json()
        bad = rows[0]["x"] == 4
        return await (fleet.problem(400, "row 1: null")(request) if bad else doubling(request))

    seen = []

    async def read(client: AsyncFleetClient) -> None:
        async for row in client.predict_rows([{"x": number} for number in range(6)], batch_rows=2):
            seen.append(row.outputs["y"])

    async with AsyncFleetClient(fleet.server(otherwise=picky).url) as client:
        with pytest.raises(RejectedInputError, match=r"^rows 4 to 5: row 1: null$"):
            await read(client)
    assert seen == [0, 2, 4, 6]


async def test_an_output_without_a_value_for_each_row_is_told(fleet: ScriptedFleet) -> None:
    handler = answering({"success": True, "outputs": {"y": 3.5}})
    async with AsyncFleetClient(fleet.server(otherwise=handler).url) as client:
        with pytest.raises(UnexpectedAnswerError, match="one value of each output for each of 2 rows"):
            await collected(client, [{"x": 1}, {"x": 2}])


async def test_labels_of_rows_are_predictions(fleet: ScriptedFleet) -> None:
    entry = {"label": "good", "probability": 0.9}
    handler = answering({"success": True, "predictions": [[entry], [entry]]})
    proxy = fleet.server(otherwise=handler)
    async with AsyncFleetClient(proxy.url) as client:
        found = await collected(client, [{"x": 1}, {"x": 2}], top=1)
    assert proxy.seen[0].path == "/predict?top=1"
    assert found == [RowResult(predictions=(Prediction("good", 0.9),))] * 2


def test_endless_rows_can_be_read_from_without_asyncio(fleet: ScriptedFleet) -> None:
    def endless() -> Iterator[dict[str, int]]:
        for number in itertools.count():
            yield {"x": number}

    with FleetClient(fleet.server(otherwise=doubling).url) as client:
        rows = client.predict_rows(endless(), batch_rows=3)
        assert [row.outputs["y"] for row in itertools.islice(rows, 7)] == [0, 2, 4, 6, 8, 10, 12]
        rows.close()
        assert client.predict({"x": 4}).outputs == {"y": 8}


async def test_rows_go_directly_to_workers_in_p2p(fleet: ScriptedFleet) -> None:
    workers = [fleet.server(otherwise=doubling) for _ in range(2)]
    proxy = fleet.server(otherwise=fleet.leases(*(worker.address for worker in workers)))
    async with AsyncFleetClient(proxy.url, p2p=True) as client:
        found = await collected(client, [{"x": number} for number in range(8)], batch_rows=1)
    assert [row.outputs["y"] for row in found] == [2 * number for number in range(8)]
    assert {seen.path for worker in workers for seen in worker.seen} == {"/predict"}
    assert all(worker.seen for worker in workers)


@pytest.mark.parametrize("p2p", [False, True])
@pytest.mark.parametrize("idempotent", [True, False])
async def test_a_stateful_model_is_not_asked_twice(fleet: ScriptedFleet, p2p: bool, idempotent: bool) -> None:
    servers = [fleet.server(fleet.reset(), otherwise=doubling) for _ in range(2)]
    at = [server.address for server in servers]
    proxy = fleet.server(otherwise=fleet.leases(*at)).url if p2p else ",".join(at)
    async with AsyncFleetClient(proxy, p2p=p2p) as client:
        if idempotent:
            servers[0].script.clear()
            assert (await client.predict({"x": 1})).outputs == {"y": 2}
        else:
            with pytest.raises(WorkerFailedError, match="not sent again"):
                await client.predict({"x": 1}, idempotent=False)
            assert sum(len(server.seen) for server in servers) == 1


async def test_a_worker_that_refuses_connections_is_no_obstacle(fleet: ScriptedFleet, nobody: str) -> None:
    async with AsyncFleetClient([nobody, fleet.server(otherwise=doubling).url]) as client:
        for number in range(4):
            assert (await client.predict({"x": number}, idempotent=False)).outputs == {"y": 2 * number}


@pytest.mark.parametrize(("name", "value"), [("batch_rows", 0), ("concurrency", 0), ("form", "csv")])
async def test_a_wrong_argument_is_a_value_error(name: str, value: Any) -> None:
    async with AsyncFleetClient() as client:
        with pytest.raises(ValueError, match=name):
            client.predict_rows([], **{name: value})


async def test_an_image_is_fetched_from_its_url(fleet: ScriptedFleet, photo: Path) -> None:
    image = await asyncio.to_thread(photo.read_bytes)

    async def shown(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=image)

    async def moved(_request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("/there.jpg")

    proxy, site = fleet.server(), fleet.server(moved, shown)
    async with AsyncFleetClient(proxy.url) as client:
        await client.classify(f"{site.url}/cat.jpg")
    assert proxy.seen[0].body == image
    assert "X-Request-Id" not in site.seen[0].headers


async def test_an_image_that_cannot_be_fetched_is_named(fleet: ScriptedFleet, nobody: str) -> None:
    site = fleet.server(otherwise=fleet.text(404, "gone"))
    async with AsyncFleetClient(fleet.server().url) as client:
        with pytest.raises(BadImageError, match=rf"^{site.url}/x: can't be fetched: .* 404 Not Found"):
            await client.classify(f"{site.url}/x")
        with pytest.raises(BadImageError, match=rf"^http://{nobody}/x: can't be fetched: "):
            await client.classify(f"http://{nobody}/x")
        outcome = await client.outcome(f"http://{nobody}/x")
        assert isinstance(outcome.error, BadImageError)
