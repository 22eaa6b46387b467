"""A table behind proxies in both modes, by HTTP and by the client: every form, the same answers."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from tests.support.bodies import arrow, npz
from tests.support.canned_server import nobody
from tests.support.fleet_processes import Fleet, fleet, registry_process, worker_id
from tests.support.waiting import eventually
from tfleet.client import AsyncFleetClient, RejectedInputError
from tfleet.contract.address import Address

ARROW = "application/vnd.apache.arrow.stream"


@pytest.fixture
def registry() -> Iterator[str]:
    address = nobody()
    with registry_process(address):
        yield f"consul://{address}"


@asynccontextmanager
async def serving(registry: str, tmp_path: Path, writer: str, workers: int = 2) -> AsyncIterator[Fleet]:
    """A proxy in forward mode, and workers that serve a model which a function of tensor_models.py writes."""
    model = Fleet.forked_workers.write_model(tmp_path / "sums" / "3", f"tensor_models.{writer}")
    async with fleet(registry, model, workers=workers) as running:
        yield running


async def direct_proxy(running: Fleet) -> Address:
    """Another proxy of this fleet, in p2p mode."""
    address = nobody()
    running.add_proxy(address, "--mode", "p2p")

    await eventually(lambda: asyncio.to_thread(is_ready, address), timeout_s=60)
    return address


def is_ready(address: Address) -> bool:
    try:
        return get(f"{address.url}/readyz").ok
    except requests.ConnectionError:
        return False


def get(url: str, *, follow: bool = True) -> requests.Response:
    return requests.get(url, allow_redirects=follow, timeout=30)


def lookup(address: Address) -> Any:
    return requests.get(f"{address.url}/worker", headers={"Accept": "application/json"}, timeout=30).json()


ROWS = {
    "application/json": b'[{"a": 1, "b": 0.5}, {"b": 0, "a": 2}]',
    "text/csv": b"b,a\n0.5,1\n0,2\n",
    ARROW: arrow({"b": [0.5, 0.0], "a": [1.0, 2.0]}),
    "application/x-npz": npz({"a": np.array([1, 2], np.float32), "b": np.array([0.5, 0], np.float32)}),
}
ANSWER = {"success": True, "outputs": {"diff": [0.5, 2.0], "sum": [1.5, 2.0]}}
ONE = {"success": True, "outputs": {"diff": 0.5, "sum": 1.5}}


def ask(url: str) -> None:
    """Send the same rows in every form; requests follows redirects, also of a POST (307)."""
    for form, body in ROWS.items():
        answer = requests.post(f"{url}/predict", body, headers={"Content-Type": form}, timeout=30)
        assert answer.json() == ANSWER, form
        assert answer.headers["X-Model"] == "sums/3"
    assert get(f"{url}/predict?b=0.5&a=1").json() == ONE
    scalar = get(f"{url}/models/sums/versions/3/signatures/scalar/predict?x=0.5")
    assert scalar.json() == {"success": True, "outputs": {"y": 1.5}}
    answer = get(f"{url}/models/products/predict?b=0.5&a=1")
    assert (answer.status_code, "sums" in answer.json()["detail"]) == (404, True)
    wrong = requests.post(f"{url}/predict", json=[{"a": 1, "b": 2}, {"a": 1, "b": None}], timeout=30)
    assert (wrong.status_code, "row 1" in wrong.json()["detail"]) == (400, True)


def run_example(url: str, address: Address | None = None) -> None:
    """The line that the model's page shows works as it stands."""
    page = get(f"{url}/models/sums").json()
    for signature in page["signatures"].values():
        assert address is None or str(address) in signature["example"]
        line = signature["example"].replace("curl ", "curl -sL ", 1)
        done = subprocess.run(line, shell=True, capture_output=True, timeout=30, check=True)
        assert json.loads(done.stdout)["success"] is True, line


async def ask_by_client(proxy: Address, *, p2p: bool) -> None:
    async with AsyncFleetClient(proxy.url, p2p=p2p) as client:
        assert (await client.predict({"a": 1, "b": 0.5})).outputs == ONE["outputs"]
        assert (await client.predict({"x": 0.5}, signature="scalar")).outputs == {"y": 1.5}
        rows = [{"a": number, "b": number / 4} for number in range(100)]
        wanted = [{"diff": number * 0.75, "sum": number * 1.25} for number in range(100)]
        for form in ("json", "arrow"):
            found = client.predict_rows(rows, form=form, batch_rows=16)
            assert [row.outputs async for row in found] == wanted
        with pytest.raises(RejectedInputError, match="'c', unknown to the model"):
            await client.predict({"a": 1, "c": 2})


async def test_a_table_is_answered_alike_on_every_way(registry: str, tmp_path: Path) -> None:
    async with serving(registry, tmp_path, "write_arithmetic") as running:
        direct = await direct_proxy(running)
        for url in (running.workers[0].address().url, running.proxy.url, direct.url):
            ask(url)
        run_example(running.proxy.url, running.proxy)
        run_example(direct.url)
        await ask_by_client(running.proxy, p2p=False)
        await ask_by_client(direct, p2p=True)
        rows = await running.rows()
        assert {(row["kind"], row["stateful"]) for row in rows.values()} == {("table", False)}
        answer = get(f"{direct.url}/predict?a=1&b=2", follow=False)
        assert answer.status_code == 307
        assert answer.headers["X-Worker"] in map(worker_id, running.workers)


async def test_a_stateful_model_counts_each_request_once(registry: str, tmp_path: Path) -> None:
    async with serving(registry, tmp_path, "write_counter", workers=1) as running:
        (row,) = (await running.rows()).values()
        assert (row["kind"], row["stateful"]) == ("table", True)
        async with AsyncFleetClient(running.proxy.url) as client:
            for turn in range(1, 4):
                found = await client.predict([{"x": 1}, {"x": 2}])
                assert found.outputs == {"total": 3.0 * turn}
            assert (await client.predict({"x": 0}, signature="peek")).outputs == {"total": 9.0}
        assert get(f"{running.proxy.url}/models/sums").json()["stateful"] is True
        for address in (running.proxy, running.workers[0].address()):
            assert lookup(address)["stateful"] is True
