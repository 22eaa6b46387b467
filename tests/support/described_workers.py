"""Fake workers that describe a model, and rows of a proxy's table."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from tests.support.fake_worker import FakeWorker
from tfleet.contract.address import Address
from tfleet.discovery.instance import Instance
from tfleet.proxy.admin.workers import WorkerRow
from tfleet.proxy.balancing.member import WorkerState

_SIGNATURE: Final = {
    "inputs": {"x": {"dtype": "float32", "shape": [None]}},
    "outputs": {"y": {"dtype": "float32", "shape": [None]}},
}


def model_page(name: str, version: str = "1", *signatures: str) -> dict[str, Any]:
    """What a worker says of its model."""
    names = signatures or ("serving_default",)
    return {
        "name": name,
        "version": version,
        "kind": "table",
        "default_signature": names[0],
        "labels": None,
        "columns": None,
        "signatures": dict.fromkeys(names, _SIGNATURE),
    }


def describes(worker: FakeWorker, page: Any, asked: list[str] | None = None) -> None:
    """Let the worker give this page of its model, and an empty object everywhere else.

    `asked` gets the paths, as they came.
    """
    listed = {"models": [page]}

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        if asked is not None:
            asked.append(request.raw_path)
        name = {"X-Worker": worker.name} if worker.name else {}
        parts = request.raw_path.split("/")
        is_page = request.method == "GET" and parts[1] == "models" and len(parts) == 3
        document = listed if request.raw_path == "/models" else page if is_page else {}
        return web.json_response(document, headers=name)

    worker.answer = answer


def worker_row(
    model: str,
    version: str,
    state: WorkerState = WorkerState.READY,
    *,
    name: str = "w",
    address: Address | None = None,
) -> WorkerRow:
    """A row of a proxy's table."""
    instance = Instance(name, address or Address("h", 1), model, version)
    return WorkerRow(instance, state, 1.0, True, 0, 0, "")
