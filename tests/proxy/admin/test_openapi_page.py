"""`GET /openapi.json` of a proxy: it is valid, has the models of the fleet, and all routes of the proxy."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import aiohttp
import pytest
from aiohttp import web

from tests.contract.openapi.models import TABLE
from tests.support.canned_server import nobody
from tests.support.described_workers import describes, model_page, worker_row
from tests.support.fake_worker import fake_worker, settings
from tests.support.openapi import OpenApiDocument
from tests.support.planned_fleet import asked, fleet_of
from tfleet.contract.address import Address
from tfleet.contract.cors import CORS_OFF
from tfleet.contract.openapi.document import LEFT_OUT, LeftOut
from tfleet.contract.openapi.places import ServedVersion
from tfleet.discovery.plan import Canary, Plan
from tfleet.discovery.plan_watch import Plans
from tfleet.proxy.admin.app import make_app
from tfleet.proxy.admin.model_descriptions import Descriptions
from tfleet.proxy.admin.openapi_page import KEPT_S, OpenApiPage, left_out, served_versions
from tfleet.proxy.admin.page_sources import PageSources
from tfleet.proxy.admin.workers import WorkerRow
from tfleet.proxy.balancing.member import WorkerState
from tfleet.proxy.balancing.mirror_counts import MirrorCount
from tfleet.proxy.balancing.versions import ModelVersion
from tfleet.proxy.inference_paths import RequestKind, read_inference_path
from tfleet.proxy.routes import names_model
from tfleet.proxy.server import single_process_proxy
from tfleet.proxy.settings import ModeSettings
from tfleet.proxy.telemetry.access_log import AccessLog
from tfleet.proxy.telemetry.metrics import ProxyMetrics
from tfleet.proxy.ticket_issuer import TicketIssuer

# A proxy and workers for each case: the whole takes seconds.
pytestmark = pytest.mark.process

FORWARD: Final = ModeSettings("forward")


class KnownWorkers:
    """A proxy's status with these workers."""

    name = "proxy"

    def __init__(self, *rows: WorkerRow) -> None:
        self.rows = rows

    async def missing(self) -> str | None:
        return None

    async def metrics(self) -> bytes:
        return b""

    async def workers(self) -> Sequence[WorkerRow]:
        return self.rows

    def mirrored(self) -> Mapping[ModelVersion, MirrorCount]:
        return {}

    def left(self) -> Collection[ModelVersion]:
        return ()


def sources(session: aiohttp.ClientSession, *rows: WorkerRow) -> PageSources:
    return PageSources(KnownWorkers(*rows), session, TicketIssuer(None, "tfleet"))


async def described(proxy: Address) -> OpenApiDocument:
    answer, text = await asked(proxy, "/openapi.json")
    assert answer.status == 200, text
    assert answer.content_type == "application/json"
    return OpenApiDocument(json.loads(text))


def paths_of(found: OpenApiDocument) -> set[str]:
    return {path for _, path in found.operations}


async def check_routes(proxy: Address, found: OpenApiDocument) -> None:
    """Ask a proxy in front of `m/1` for everything in the document, and compare its own answers with it."""
    for method, path in sorted(found.operations):
        sent = b"{}" if method == "POST" else None
        real = {"/worker": "/worker?model=m"}.get(path, path.replace("{id}", "m%2F1"))
        answer, text = await asked(proxy, real, method=method, data=sent)
        status = 400 if path.endswith("/unload") else 200
        assert answer.status == status, f"{method} {path}: {answer.status} {text}"
        if "X-Retries" not in answer.headers:  # it is the proxy's own answer, and not that of a fake worker
            found.check_content(method, path, status, answer.headers["Content-Type"], text.encode())


async def test_the_document_has_every_version_of_the_fleet() -> None:
    async with fleet_of("m/1", "m/2", "other/7", mode="forward") as (proxy, served):
        describes(served["m/1"], model_page("m", "1"))
        describes(served["m/2"], model_page("m", "2", "serving_default", "new"))
        describes(served["other/7"], model_page("other", "7"))
        found = await described(proxy)
        paths = paths_of(found)
        for there in (
            "/models/m/signatures/new",  # version 2 is the stable one
            "/models/m/labels/stable/signatures/new",
            "/models/m/labels/prod/predict",
            "/models/other/versions/7/predict",
            "/v1/models/m/labels/stable:predict",
            "/v1/models/m/versions/1:predict",
            "/v2/models/other/infer",
            "/v2/models/m/versions/2/infer",
        ):
            assert there in paths
        for absent in (
            "/models/m/versions/1/signatures/new",
            "/v1/models/m/versions/1:regress",
            "/models/m/labels/prod/signatures/new",
            "/predict",
        ):
            assert absent not in paths
        assert LEFT_OUT not in found.content
        await asyncio.to_thread(found.check)
        await check_routes(proxy, found)


async def test_the_only_model_answers_without_a_name() -> None:
    async with fleet_of("m/1", mode="forward") as (proxy, served):
        describes(served["m/1"], model_page("m", "1"))
        found = await described(proxy)
        assert {("GET", "/predict"), ("POST", "/predict")} <= found.operations
        await check_routes(proxy, found)


@pytest.mark.parametrize("redirect_all", [False, True])
async def test_a_p2p_proxy_documents_its_redirects(redirect_all: bool) -> None:
    async with fleet_of("m/1", redirect_all=redirect_all) as (proxy, served):
        describes(served["m/1"], model_page("m", "1"))
        found = await described(proxy)
        for method, path in (("POST", "/v2/models/m/infer"), ("GET", "/v1/models/m/metadata")):
            assert ("307" in found.operation(method, path)["responses"]) is redirect_all
        assert "307" in found.operation("GET", "/models/m/versions/1")["responses"]
        for path, status in (("/models/m", 307), ("/v2/models/m", 307 if redirect_all else 200)):
            assert (await asked(proxy, path))[0].status == status


_UNDOCUMENTED: Final = {
    "/models/{below}": "each model has paths of its own",
    "/predict": "the default model has it, where there is one",
    "/embed": "the default model has it, where it has an embedding",
    "/{root}": "inference_paths.py has the paths below /v1 and /v2",
    "/{root}/{below}": "inference_paths.py has the paths below /v1 and /v2",
}
"""The paths of the proxy's application that are not among its pages, and why."""


@pytest.mark.parametrize("for_operators", [True, False])
async def test_the_document_has_the_pages_of_the_proxy(for_operators: bool) -> None:
    log = AccessLog(ProxyMetrics(), asyncio.get_running_loop())
    async with aiohttp.ClientSession() as session:
        app = make_app(FORWARD, sources(session), log, CORS_OFF, for_operators=for_operators)
        page = OpenApiPage(sources(session), FORWARD, for_operators=for_operators, predicts=True)
        found = json.loads(await page.document())
    hidden = set() if for_operators else {"/workers", "/metrics", "/workers/{id}/metrics"}
    routed = {
        route.resource.canonical
        for route in app.router.routes()
        if route.resource is not None and route.method in {"GET", "*"}
    }
    pages = {path for path in found["paths"] if path[:3] not in {"/v1", "/v2"} or "/health/" in path}
    assert pages == routed - _UNDOCUMENTED.keys() - hidden


_ERRORS_ONLY: Final = {RequestKind.ALL_STATISTICS, RequestKind.REGISTER, RequestKind.NOT_HERE}
_NO_MEMORY: Final = {RequestKind.REGIONS, RequestKind.UNREGISTER}


async def test_the_document_has_what_v1_and_v2_ask_for() -> None:
    async with fleet_of("m/1", mode="forward") as (proxy, served):
        describes(served["m/1"], model_page("m", "1"))
        found = await described(proxy)
    kinds = set()
    for method, path in found.operations:
        if path[:3] in {"/v1", "/v2"}:
            read = read_inference_path(method.encode(), path.encode())
            assert read is not None, (method, path)
            kinds.add(read.kind)
        elif path.startswith("/models/"):
            assert names_model(method.encode(), path.encode())
    assert kinds == set(RequestKind) - _ERRORS_ONLY - _NO_MEMORY


async def test_workers_are_asked_once_for_many_requests() -> None:
    async with fleet_of("m/1", mode="forward") as (proxy, served):
        seen: list[str] = []
        describes(served["m/1"], model_page("m", "1"), seen)
        documents = await asyncio.gather(*(asked(proxy, "/openapi.json") for _ in range(5)))
        assert len({text for _, text in documents}) == 1
        assert seen == ["/models/m"]


async def test_a_document_is_kept_for_some_seconds() -> None:
    async with fake_worker() as worker, aiohttp.ClientSession() as session:
        seen: list[str] = []
        describes(worker, model_page("m", "1"), seen)
        row = worker_row("m", "1", address=worker.address)
        clock = iter([0.0, KEPT_S - 0.1, KEPT_S])
        page = OpenApiPage(
            sources(session, row), FORWARD, for_operators=True, predicts=True, clock=clock.__next__
        )
        for times in (1, 1, 2):
            assert "/models/m" in json.loads(await page.document())["paths"]
            assert len(seen) == times


async def test_what_no_worker_describes_is_named() -> None:
    async with fleet_of("m/1", "m/2", "other/7", mode="forward") as (proxy, served):
        describes(served["m/1"], model_page("m", "1"))
        describes(served["m/2"], {"name": "m"})
        describes(served["other/7"], model_page("other", "8"))
        found = await described(proxy)
        named = {(each["model"], each["version"]) for each in found.content[LEFT_OUT]}
        assert named == {("m", "2"), ("other", "7")}
        assert "/models/m/versions/1" in paths_of(found)
        assert "/models/m" not in paths_of(found), "version 2 answers it, and nobody says how"


async def test_errors_of_the_proxy_keep_to_the_document() -> None:
    async with fleet_of("m/1", mode="forward") as (proxy, served):
        describes(served["m/1"], model_page("m", "1"))
        found = await described(proxy)
        served["m/1"].answer = break_off
        for _ in range(2):  # it is ejected, and then nobody is there
            for path in ("/predict", "/models/m", "/v1/models/m:predict", "/v2/models/m/infer"):
                answer, text = await asked(proxy, path, method="POST", data=b"{}")
                assert answer.status in (502, 503), text
                found.check_content("POST", path, answer.status, answer.content_type, text.encode())


async def break_off(request: web.Request) -> web.Response:
    """As a worker that has died."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def test_a_static_list_has_its_model() -> None:
    async with fake_worker() as worker, single_process_proxy(settings(worker)) as proxy:
        describes(worker, model_page("wine"))
        found = await described(proxy)
        expected = {"/predict", "/models/wine", "/v1/models/wine:predict", "/v2/models/wine/infer"}
        assert expected <= paths_of(found)


async def test_each_port_documents_its_own_pages() -> None:
    admin = nobody()
    async with fake_worker() as worker, single_process_proxy(settings(worker, admin=admin)) as proxy:
        describes(worker, model_page("wine"))
        public, operators = await described(proxy), await described(admin)
        assert "/models/wine/predict" in paths_of(public) - paths_of(operators)
        assert "/workers" in paths_of(operators) - paths_of(public)


async def test_the_front_page_names_the_document() -> None:
    async with fake_worker() as worker, single_process_proxy(settings(worker)) as proxy:
        assert "GET /openapi.json" in (await asked(proxy, "/", accept="text/html"))[1]


MODELS: Final = {
    ModelVersion("m", version): dataclasses.replace(TABLE, name="m", version=version)
    for version in ("1", "2")
}
ROWS: Final = (worker_row("m", "1"), worker_row("m", "2"), worker_row("n", "1", WorkerState.STARTING))


def test_the_stable_version_answers_for_the_model() -> None:
    plans = Plans({"m": Plan("1", Canary("2", 60.0), labels={"prod": "1", "x": "2"})}, default="m")
    first, second = MODELS.values()
    assert served_versions(MODELS, ROWS, plans) == [
        ServedVersion(first, for_model=True, for_all=True, labels=("prod", "stable")),
        ServedVersion(second, for_model=False, for_all=False, labels=("canary", "x")),
    ]


def test_without_a_default_model_none_answers_for_all() -> None:
    assert [each.for_all for each in served_versions(MODELS, ROWS, Plans())] == [False, False]
    only = [row for row in ROWS if row.instance.model == "m"]
    assert [each.for_all for each in served_versions(MODELS, only, Plans())] == [False, True]


def test_what_is_left_out_has_reasons_and_a_bound() -> None:
    plans = Plans({"gone": Plan("4")})
    found = Descriptions(MODELS, {ModelVersion("z", "1"): "why"})
    assert left_out(found, ROWS, plans) == [
        LeftOut("z", "1", "why"),
        LeftOut("gone", "4", "no worker has it yet"),
        LeftOut("n", "1", "no worker of it is ready: see GET /models"),
    ]
    alike = left_out(Descriptions({}, {}), [worker_row("", "")] * 2, Plans())
    assert [each.reason[:28] for each in alike] == ["one of 2 workers of a static"]
    many = {ModelVersion("z", str(number)): "why" for number in range(150)}
    named = left_out(Descriptions({}, many), (), Plans())
    assert len(named) == 101
    assert named[-1].reason == "50 more versions: see GET /models"
