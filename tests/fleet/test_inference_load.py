"""The rules of forwarding hold for Triton's own client: workers die, drain and hang, tickets, p2p mode."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.fleet.test_drain import tfleet_drain
from tests.support.canned_server import nobody
from tests.support.client_environments import required_client
from tests.support.fleet_processes import Fleet, fleet, registry_process, worker_id
from tests.support.tfleet_up import ROOT
from tests.support.triton_load import tally_of, triton_load
from tests.support.waiting import eventually
from tfleet.contract.address import Address

pytestmark = [pytest.mark.process, pytest.mark.timeout(900)]

KEY = "0" * 64
FACTOR = 3.0
"""The model's version, with which it multiplies."""


@pytest.fixture(scope="module")
def triton() -> Path:
    return required_client(ROOT / "tests" / "worker" / "api" / "tritonclient.txt")


@pytest.fixture(scope="module")
def registry() -> Iterator[str]:
    address = nobody()
    with registry_process(address):
        yield f"consul://{address}"


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "product" / f"{FACTOR:g}"
    return Fleet.forked_workers.write_model(folder, "tensor_models.write_version")


async def test_no_request_is_lost_when_workers_leave(registry: str, product: Path, triton: Path) -> None:
    async with fleet(registry, product, workers=3) as running:
        killed, drained, last = running.workers
        async with triton_load(triton, running.proxy, "product") as load:
            await load.ended(100)
            killed.process.kill()
            await running.ready(2)
            await load.ended(100)
            drain = await tfleet_drain(worker_id(drained), running.proxy)
            await drain.communicate()
            assert drain.returncode == 0
            await running.ready(1)
            await load.ended(100)
            tally = await load.stop()
        assert tally.errors == {}
        assert tally.versions == {f"{FACTOR:g}": tally.right}
        assert await running.failed_tries() > 0, "a request was with the worker that was killed"

        last.process.send_signal(signal.SIGSTOP)
        late = await tally_of(triton, running.proxy, "product", "X-Request-Timeout-Ms=200")
        last.process.send_signal(signal.SIGCONT)
        assert late.right == 0
        assert late.errors.keys() == {"504 no answer within 0.2 s; see --timeout"}


async def test_tickets_and_p2p_mode(registry: str, product: Path, triton: Path, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.touch(mode=0o600)
    key.write_text(f"{KEY}\n")
    tickets = ("--ticket-key-file", str(key))
    async with fleet(registry, product, "--mode", "p2p", *tickets, workers=0) as running:
        redirecting = nobody()
        running.add_proxy(redirecting, "--mode", "p2p", "--redirect-all", *tickets)
        running.add_worker(*tickets)
        await running.ready(1)
        await eventually(lambda: asyncio.to_thread(_is_ready, redirecting))
        assert (await tally_of(triton, running.proxy, "product")).errors == {}

        found = await asyncio.to_thread(_looked_up, running.proxy)
        worker = Address.parse(found["address"])
        ticket = f"X-Ticket={found['ticket']}"
        assert (await tally_of(triton, worker, "product", ticket)).errors == {}
        (refused,) = (await tally_of(triton, worker, "product")).errors
        assert refused.startswith("401 this worker accepts only requests with a ticket")
        assert "ask the proxy for a worker (GET /worker)" in refused
        (redirected,) = (await tally_of(triton, redirecting, "product")).errors
        assert redirected.startswith(f"307 this proxy redirects to a worker, {worker}")
        await asyncio.to_thread(_asks_as_tensorflow_serving, running.proxy, worker, found["ticket"])


def _is_ready(proxy: Address) -> bool:
    try:
        return requests.get(f"{proxy.url}/readyz", timeout=10).ok
    except requests.ConnectionError:
        return False


def _looked_up(proxy: Address) -> dict[str, str]:
    asked = requests.get(
        f"{proxy.url}/worker?model=product", headers={"Accept": "application/json"}, timeout=10
    )
    found: dict[str, str] = asked.json()
    return found


def _asks_as_tensorflow_serving(proxy: Address, worker: Address, ticket: str) -> None:
    path, body = "/v1/models/product:predict", '{"instances": [1.0, 2.0]}'
    expected = {"predictions": [FACTOR, 2 * FACTOR]}
    for address, headers in ((proxy, {}), (worker, {"X-Ticket": ticket})):
        answer = requests.post(address.url + path, body, headers=headers, timeout=10)
        assert answer.json() == expected
    refused = requests.post(worker.url + path, body, timeout=10)
    assert (refused.status_code, refused.headers["Content-Type"]) == (401, "application/json")
    assert "ask the proxy for a worker" in refused.json()["error"]
