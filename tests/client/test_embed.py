"""Vectors of images: how they are asked for, and what comes back, through a proxy and directly."""

from __future__ import annotations

import io
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from aiohttp import web

from tfleet.client import (
    AsyncFleetClient,
    BadImageError,
    BusyError,
    FleetClient,
    ImageVector,
    UnexpectedAnswerError,
)

if TYPE_CHECKING:
    from tests.client.conftest import Handler, ScriptedFleet

SPACE = "ab" * 32


def npy(values: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values)
    return stream.getvalue()


def vectors(content: bytes = npy(np.array([0.5, 1.5, 0], np.float32)), space: str = SPACE) -> Handler:
    """Answers a vector."""

    async def handler(_request: web.Request) -> web.StreamResponse:
        said = {"X-Embedding": space, "X-Worker": "w1", "X-Model": "lite0/1", "X-Retries": "2"}
        timing = {"Server-Timing": "decode;dur=2.1, queue;dur=0.0, infer;dur=8.3"}
        return web.Response(body=content, content_type="application/x-npy", headers=said | timing)

    return handler


@pytest.mark.parametrize("p2p", [False, True])
def test_an_images_vector_is_asked_for(fleet: ScriptedFleet, photo: Path, p2p: bool) -> None:
    worker = fleet.server(otherwise=vectors())
    proxy = fleet.server(otherwise=fleet.names(worker.address)) if p2p else worker
    with FleetClient(proxy.url, p2p=p2p, top=2) as client:
        found = client.embed(photo)
    assert np.asarray(found.vector).tolist() == [0.5, 1.5, 0]
    assert np.asarray(found.vector).dtype == np.float32
    assert (found.space, found.worker, found.model, found.retries) == (SPACE, "w1", "lite0/1", 2)
    assert found.timing.infer_ms == 8.3
    (seen,) = worker.seen
    assert (seen.method, seen.path, seen.headers["Accept"]) == ("POST", "/embed", "application/x-npy")
    assert seen.body == photo.read_bytes()


async def test_a_named_model_has_its_path(fleet: ScriptedFleet) -> None:
    proxy = fleet.server(otherwise=vectors())
    async with AsyncFleetClient(proxy.url, model="lite0", version="1") as client:
        await client.embed(b"image")
    assert proxy.seen[0].path == "/models/lite0/versions/1/embed"


@pytest.mark.parametrize(
    "answer",
    [
        vectors(b"[0.5]"),
        vectors(npy(np.array([0.5], np.float32))[:-1]),
        vectors(npy(np.array([0.5], np.float32)) + b"\0"),
        vectors(npy(np.array([0.5], np.float64))),
        vectors(npy(np.array([[0.5]], np.float32))),
        vectors(npy(np.array([], np.float32))),
        vectors(npy(np.array([0.5], np.float32))[:9]),
        vectors(npy(np.array([0.5], np.float32)).replace(b"descr", b"other")),
        vectors(space=""),
    ],
)
async def test_what_is_no_vector_is_unexpected(fleet: ScriptedFleet, answer: Handler) -> None:
    async with AsyncFleetClient(fleet.server(otherwise=answer).url) as client:
        with pytest.raises(UnexpectedAnswerError, match="not what tfleet says"):
            await client.embed(b"image")


async def test_errors_are_those_of_a_classification(fleet: ScriptedFleet, tmp_path: Path) -> None:
    proxy = fleet.server(
        fleet.problem(415, "not an image"),
        fleet.problem(404, "the model wine has no embedding"),
        otherwise=fleet.problem(429, "busy", Retry_After="3"),
    )
    (tmp_path / "a.jpg").write_bytes(b"text")
    async with AsyncFleetClient(proxy.url) as client:
        with pytest.raises(BadImageError, match=r"a\.jpg: not an image$"):
            await client.embed(tmp_path / "a.jpg")
        with pytest.raises(UnexpectedAnswerError, match="the model wine has no embedding"):
            await client.embed(b"image")
        with pytest.raises(BusyError) as caught:
            await client.embed(b"image")
        assert caught.value.retry_after_s == 3


async def test_many_vectors_come_in_order_with_failures(fleet: ScriptedFleet, tmp_path: Path) -> None:
    proxy = fleet.server(otherwise=vectors())
    sources: list[bytes | Path] = [b"one", tmp_path / "missing.jpg", b"two"]
    async with AsyncFleetClient(proxy.url) as client:
        async with aclosing(client.embed_many(sources, concurrency=2)) as outcomes:
            found = [outcome async for outcome in outcomes]
        with pytest.raises(TypeError, match="embed_many takes many sources"):
            client.embed_many(b"one")  # type: ignore[type-var] # what is tested
        with pytest.raises(ValueError, match="concurrency is 0"):
            client.embed_many(sources, concurrency=0)
    assert [outcome.source for outcome in found] == sources
    assert isinstance(found[0].result(), ImageVector)
    assert found[2].embedding is not None
    with pytest.raises(BadImageError, match="no such file"):
        found[1].result()
    assert sorted(seen.body for seen in proxy.seen) == [b"one", b"two"]


def test_vectors_are_iterated_without_asyncio(fleet: ScriptedFleet) -> None:
    with FleetClient(fleet.server(otherwise=vectors()).url) as client:
        outcomes = client.embed_many([b"a", b"b", b"c"])
        assert [list(outcome.result().vector) for outcome in outcomes] == [[0.5, 1.5, 0]] * 3
