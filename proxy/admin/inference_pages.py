"""The pages below `/v1` and `/v2`: what TensorFlow Serving's REST API and the Open Inference Protocol say of
a fleet. What they say of one version of a model a worker answers, and these requests never come here.

Paths count as they were sent, and not as aiohttp decodes them: see inference_paths.py.
"""

from __future__ import annotations

import time
from typing import Final

from aiohttp import web

from tfleet.contract.identifiers import escaped
from tfleet.contract.open_inference import nothing_at
from tfleet.contract.problem import Problem, ProblemError, is_plain
from tfleet.contract.tfs_paths import is_tfs_path, refused_request
from tfleet.proxy.admin.json_page import json_page
from tfleet.proxy.admin.middleware import path_as_sent
from tfleet.proxy.admin.oip_pages import OipPages
from tfleet.proxy.admin.page_sources import PageSources
from tfleet.proxy.admin.tfs_pages import models_page, status_page
from tfleet.proxy.admin.version_states import version_statuses
from tfleet.proxy.inference_paths import InferencePath, RequestKind, methods_of, read_inference_path

_PROBED: Final = ("/v2/health/live", "/v2/health/ready")
"""By monitoring, so that their requests are counted apart."""
_BELOW: Final = ("/{root:[vV][12]}", "/{root:[vV][12]}/{below:.*}")


def add_inference_pages(app: web.Application, sources: PageSources) -> None:
    """All of them, and the errors for other paths."""
    oip_pages = OipPages(sources)

    async def page(request: web.Request) -> web.Response:
        found = _asked(request)
        if found.kind not in {RequestKind.MODELS, RequestKind.STATUS}:
            return await oip_pages.answer(request, found)
        plans, rows = sources.plans(), await sources.status.workers()
        statuses = version_statuses(rows, plans, time.time(), sources.status.left())
        if found.kind is RequestKind.MODELS:
            return json_page(models_page(statuses))
        try:
            return json_page(status_page(statuses, plans, found.wanted))
        except ProblemError:
            # While no worker is ready, nobody can say that a name is unknown.
            if reason := await sources.status.missing():
                raise ProblemError(Problem(503, reason, retry_after_s=1)) from None
            raise

    for path in (*_PROBED, *_BELOW):
        app.router.add_route("*", path, page)


def _asked(request: web.Request) -> InferencePath:
    """What the request asks of the proxy itself. Raises ProblemError."""
    path = path_as_sent(request)
    found = read_inference_path(request.method.encode(), path.encode())
    if found is None:
        raise ProblemError(_nothing(request.method, path))
    if found.kind is RequestKind.WORKER:
        where = "predictions are not on this port, but on the proxy's own (--port)"
        raise ProblemError(Problem(404, f"there is nothing at {escaped(path)}: {where}"))
    return found


def _nothing(method: str, path: str) -> Problem:
    """The answer to what nobody answers."""
    if not is_plain(path):
        return Problem(404, f"there is nothing at {escaped(path)}: write the path as it is")
    if is_tfs_path(path):
        return refused_request(method, path)
    if allowed := methods_of(path.encode()):
        use = " or ".join(allowed)
        return Problem(405, f"{method} is not for {escaped(path)}: use {use}", allow=allowed)
    return nothing_at(path)
