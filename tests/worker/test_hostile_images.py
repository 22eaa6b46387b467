"""No image ends a worker, holds it up or is answered with 500, however it was made."""

import asyncio
import io
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from tests.support.hostile_images import HOSTILE, made
from tests.support.photos import PHOTOS
from tests.support.running_worker import load, serving
from tests.support.waiting import eventually
from tfleet.contract.address import Address
from tfleet.worker.inference import Classifier

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def classifier() -> Iterator[Classifier]:
    """The default model, loaded once."""
    loaded = load()
    yield loaded
    loaded.close()


@pytest.fixture
def worker(classifier: Classifier) -> Iterator[Address]:
    """One that takes bodies as large as a worker does by itself."""
    with serving(classifier, max_body_bytes=32 * 1024 * 1024) as (address, _):
        yield address


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """A client's."""
    async with aiohttp.ClientSession() as found:
        yield found


async def _status(session: aiohttp.ClientSession, worker: Address, body: bytes) -> int:
    async with session.post(
        f"{worker.url}/", data=io.BytesIO(body), headers={"Content-Type": "image/x"}
    ) as answer:
        text = await answer.text()
        assert answer.status == 200 or '"detail"' in text
        return answer.status


@pytest.mark.parametrize("name", HOSTILE)
async def test_each_hostile_image_gets_its_answer(
    name: str, worker: Address, session: aiohttp.ClientSession
) -> None:
    """Eight at once; 429 only where others of them are decoded, or arrive."""
    body = made(name)
    found = await asyncio.gather(*(_status(session, worker, body) for _ in range(8)))
    assert set(found) <= HOSTILE[name].statuses_of(body)
    assert set(found) != {429}
    assert await _status(session, worker, PHOTOS["cat"].read_bytes()) == 200


async def test_small_images_go_on_while_large_ones_are_decoded(
    worker: Address, session: aiohttp.ClientSession
) -> None:
    body = made("WebP of 64 megapixels")
    large = [asyncio.ensure_future(_status(session, worker, body)) for _ in range(32)]
    cat, answered = PHOTOS["cat"].read_bytes(), 0
    while not all(each.done() for each in large):
        assert await _status(session, worker, cat) == 200
        answered += 1
    statuses = [each.result() for each in large]
    assert set(statuses) == {200, 429}
    assert answered >= 10


async def test_a_client_that_leaves_ends_the_decoding_of_its_image(
    worker: Address, session: aiohttp.ClientSession
) -> None:
    """The next one finds the decoder free at once: the slow one is not decoded to its end."""
    slow = made("BMP of 9 MB of run lengths")
    leaving = asyncio.ensure_future(_status(session, worker, slow))
    running = "tfleet_worker_decoders_running"
    await eventually(lambda: _gauge(session, worker, running), wanted=lambda found: found == 1)
    leaving.cancel()
    await eventually(lambda: _gauge(session, worker, running), wanted=lambda found: found == 0, timeout_s=2)
    assert await _gauge(session, worker, 'tfleet_worker_decoders_killed_total{reason="client-gone"}') >= 1


async def _gauge(session: aiohttp.ClientSession, worker: Address, name: str) -> float:
    async with session.get(f"{worker.url}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return next(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(f"{name} "))
