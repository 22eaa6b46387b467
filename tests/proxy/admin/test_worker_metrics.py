import json
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp import web

from tests.support.canned_server import nobody
from tests.support.fake_worker import fake_worker, settings
from tests.support.waiting import eventually
from tfleet.contract.address import Address
from tfleet.contract.problem import ProblemError
from tfleet.discovery.instance import Instance
from tfleet.proxy.admin.worker_metrics import WorkerMetricsPages
from tfleet.proxy.admin.workers import LocalStatus
from tfleet.proxy.balancing.model_router import ModelRouter
from tfleet.proxy.balancing.worker_table import WorkerTable
from tfleet.proxy.readiness import Readiness
from tfleet.proxy.server import single_process_proxy
from tfleet.proxy.telemetry.metrics import ProxyMetrics

PAGE = "tfleet_worker_busy_seconds_total 7.5\n"
MEGABYTE = 1024 * 1024


async def get(proxy: Address, worker: Address | str) -> tuple[int, str, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{proxy.url}/workers/{quote(str(worker), safe='')}/metrics") as answer,
    ):
        return answer.status, answer.content_type, await answer.text()


def detail(answer: tuple[int, str, str]) -> str:
    found: str = json.loads(answer[2])["detail"]
    return found


async def test_a_worker_s_page_comes_through_the_proxy_in_both_modes() -> None:
    async def metrics(request: web.Request) -> web.Response:
        return web.Response(text=PAGE if request.path == "/metrics" else "no")

    async with fake_worker() as worker:
        worker.answer = metrics
        for mode in ("forward", "p2p"):
            async with single_process_proxy(settings(worker, mode=mode)) as proxy:
                assert await get(proxy, worker.address) == (200, "text/plain", PAGE)


async def test_an_unknown_worker_is_404_and_nobody_is_asked() -> None:
    async with (
        fake_worker() as worker,
        fake_worker() as stranger,
        single_process_proxy(settings(worker)) as proxy,
    ):
        found = await get(proxy, stranger.address)
        assert (found[0], detail(found)) == (
            404,
            f"no worker '{stranger.address}' is known: see GET /workers",
        )
        assert stranger.seen == []


async def test_a_worker_without_metrics_is_502_with_a_reason() -> None:
    where = nobody()
    async with single_process_proxy(settings(where)) as proxy:
        found = await get(proxy, where)
        assert found[0] == 502
        assert detail(found).startswith(f"worker {where} gave no metrics: ")


@pytest.mark.parametrize(
    ("answer", "how"),
    [
        (lambda: web.Response(status=500), "answered 500 when it was asked for its metrics"),
        (lambda: web.Response(body=b"x" * (MEGABYTE + 1)), f"has metrics of over {MEGABYTE} bytes"),
        (lambda: web.Response(status=302, headers={"Location": "/healthz"}), "answered 302"),
    ],
)
async def test_an_unexpected_page_is_not_passed_on(answer, how: str) -> None:  # type: ignore[no-untyped-def] # makes one
    async def metrics(_: web.Request) -> web.Response:
        response: web.Response = answer()
        return response

    async with fake_worker() as worker, single_process_proxy(settings(worker)) as proxy:
        worker.answer = metrics
        found = await get(proxy, worker.address)
        assert found[0] == 502
        assert how in detail(found)


async def test_a_page_of_another_server_is_not_passed_on() -> None:
    workers = WorkerTable()
    async with fake_worker() as worker, aiohttp.ClientSession() as session:
        workers.apply_instances([Instance("tfleet-mine", worker.address)])
        worker.name = "tfleet-another"
        status = LocalStatus(ModelRouter(workers), ProxyMetrics(), Readiness())
        with pytest.raises(ProblemError, match="tfleet-mine is not at its address any more, but tfleet-ano"):
            await WorkerMetricsPages(status, session)("tfleet-mine")


async def test_metrics_requests_are_logged_at_debug(capsys: pytest.CaptureFixture[str]) -> None:
    async with fake_worker() as worker, single_process_proxy(settings(worker)) as proxy:
        await get(proxy, worker.address)

        async def front_page() -> bool:
            async with aiohttp.ClientSession() as session, session.get(proxy.url) as answer:
                return answer.ok

        await eventually(front_page)
    said = "".join(capsys.readouterr())
    assert "path=/ " in said or '"path": "/"' in said
    assert all("debug" in line for line in said.splitlines() if "/metrics" in line)
