"""Models that take no images behind proxies in both modes answer as Keras does, in every form."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.models.answers import Golden, check, one_row, read_answer, read_golden
from tests.models.bodies import ARROW, JSON, Request, bodies, single_rows
from tests.models.golden_folder import golden_folder
from tests.support.canned_server import nobody
from tests.support.fleet_processes import fleet, registry_process
from tests.support.waiting import eventually
from tfleet.client import AsyncFleetClient

pytestmark = pytest.mark.timeout(600)

FOLDERS = ("columns", "words.keras.saved", "clip_and_question.h5.saved", "characters")


@pytest.fixture(scope="session")
def golden_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return golden_folder(tmp_path_factory)


@pytest.fixture
def registry() -> Iterator[str]:
    address = nobody()
    with registry_process(address):
        yield f"consul://{address}"


@pytest.mark.parametrize("folder", FOLDERS)
async def test_answers_are_keras_own_on_every_way(registry: str, golden_models: Path, folder: str) -> None:
    golden = read_golden(golden_models / f"{folder.partition('.')[0]}@serving_default.npz")
    async with fleet(registry, golden_models / folder, workers=2) as running:
        direct = nobody()
        running.add_proxy(direct, "--mode", "p2p")
        await eventually(lambda: asyncio.to_thread(_is_ready, direct.url), timeout_s=60)
        for url in (running.proxy.url, direct.url):
            await asyncio.to_thread(_ask_all_at_once, url, golden)
        await _ask_by_client(running.proxy.url, golden, p2p=False)
        await _ask_by_client(direct.url, golden, p2p=True)


def _is_ready(url: str) -> bool:
    try:
        return requests.get(f"{url}/readyz", timeout=30).ok
    except requests.ConnectionError:
        return False


def _ask_all_at_once(url: str, golden: Golden) -> None:
    """All rows in every form, and each row alone, at the same time: a worker makes batches of what fits."""
    asked: list[tuple[Request, Any]] = [(each, golden.outputs) for each in bodies(golden.inputs)]
    for number in range(_count(golden)):
        row = one_row(golden.outputs, number)
        asked += [(each, row) for each in single_rows(golden.inputs, number)]
    with ThreadPoolExecutor(16) as threads:
        answers = threads.map(lambda pair: _ask(url, pair[0], golden), asked)
        for (request, expected), found in zip(asked, answers, strict=True):
            check(found, expected, f"{url}, {request.form}")
    body = next(each for each in bodies(golden.inputs) if each.media_type == ARROW)
    check(_ask(url, body, golden, accept=ARROW), golden.outputs, f"{url}, Arrow to Arrow")


def _ask(url: str, request: Request, golden: Golden, accept: str = JSON) -> Any:
    """A request's answer. requests follows redirects, also of a POST (307)."""
    headers = {"Accept": accept}
    if request.query:
        answer = requests.get(f"{url}/predict", list(request.query), headers=headers, timeout=60)
    else:
        headers["Content-Type"] = request.media_type
        answer = requests.post(f"{url}/predict", request.body, headers=headers, timeout=60)
    assert answer.status_code == 200, f"{request.form}: {answer.text}"
    return read_answer(answer.content, accept, golden.outputs)


async def _ask_by_client(url: str, golden: Golden, *, p2p: bool) -> None:
    rows = [json.loads(next(single_rows(golden.inputs, number)).body) for number in range(_count(golden))]
    async with AsyncFleetClient(url, p2p=p2p) as client:
        found = await client.predict(rows)
        check(found.outputs, golden.outputs, f"predict, p2p={p2p}")
        for number, row in enumerate(rows):
            alone = await client.predict(row)
            check(alone.outputs, one_row(golden.outputs, number), f"predict of one row, p2p={p2p}")
        results = [each async for each in client.predict_rows(rows, batch_rows=2)]
        for number, result in enumerate(results):
            check(result.outputs, one_row(golden.outputs, number), f"predict_rows, p2p={p2p}")
        assert len(results) == len(rows)


def _count(golden: Golden) -> int:
    return len(next(iter(golden.inputs.values())))
