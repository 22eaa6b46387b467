"""Chooses the handler of a request by method and path, and answers malformed requests.

The paths that most requests have are looked up as they are. What is below `/models` a worker knows: the proxy
passes these requests on, or redirects them, as it does with predictions. `/models` itself is a page. What is
below `/v1` and `/v2` is for a worker or a page: see inference_paths.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from tfleet.contract.cors import Cors
from tfleet.contract.names import MODELS_PATH
from tfleet.contract.problem import Problem
from tfleet.contract.request_id import request_id
from tfleet.httpd.admission import ConnectionLimits
from tfleet.httpd.http1.local_response import closing_problem, options_head
from tfleet.httpd.http1.request import ANY_RESOURCE, RequestHead
from tfleet.httpd.interfaces import Client, Handler, OpenRequest
from tfleet.httpd.server import Server
from tfleet.proxy.inference_paths import asks_worker, is_for_any_worker, is_inference_path
from tfleet.proxy.p2p.direct_response import DirectResponse, LocalReply
from tfleet.proxy.problems import TOO_MANY_CLIENTS
from tfleet.proxy.readiness import Readiness
from tfleet.proxy.settings import ProxySettings
from tfleet.proxy.telemetry.access_log import AccessLog

Routes: TypeAlias = Mapping[tuple[bytes, bytes], Handler]
"""By method and path, without the query."""

_HTML: Final = "text/html"
_MODELS: Final = f"{MODELS_PATH}/".encode()
_METHODS: Final = frozenset({b"GET", b"HEAD", b"POST"})


@dataclass(frozen=True, slots=True)
class WorkerHandlers:
    """What handles requests that a worker answers: those below `/models`, and those of `/v1` and `/v2`.

    With `models_unknown` the proxy knows no worker's model, as with a static list. Then a worker answers all
    that is below `/v1` and `/v2`, but what is about the server.
    """

    native: Handler
    inference: Handler
    models_unknown: bool = False

    def of(self, method: bytes, path: bytes) -> Handler | None:
        """The handler; None for what no worker answers."""
        if names_model(method, path):
            return self.native
        if is_inference_path(path):
            asks = is_for_any_worker if self.models_unknown else asks_worker
            return self.inference if asks(method, path) else None
        return None


def by_route(routes: Routes, workers: WorkerHandlers | None, otherwise: Handler) -> Handler:
    """The handler of a whole server."""

    def handle(head: RequestHead, client: Client) -> OpenRequest | None:
        path = head.target.partition(b"?")[0]
        handler = routes.get((head.method, path))
        if handler is None and workers is not None:
            handler = workers.of(head.method, path)
        return (handler or otherwise)(head, client)

    return handle


def browser_or(page: Handler, otherwise: Handler) -> Handler:
    """`page` for a person who opens the address in a browser, `otherwise` for programs."""

    def handle(head: RequestHead, client: Client) -> OpenRequest | None:
        return (page if _HTML in head.accept else otherwise)(head, client)

    return handle


def names_model(method: bytes, path: bytes) -> bool:
    """Whether the path is below `/models`, and the method asks for something there."""
    return path.startswith(_MODELS) and method in _METHODS


def server_options(access_log: AccessLog, cors: Cors) -> Routes:
    """The handler of `OPTIONS *`."""
    reply = LocalReply(200, options_head(), b"")
    return {(b"OPTIONS", ANY_RESOURCE): DirectResponse(lambda head, peer: reply, access_log, cors).handle}


class ProxyErrorResponses:
    """Problem documents for malformed heads and surplus connections: httpd's ErrorResponses."""

    def __init__(self, access_log: AccessLog, cors: Cors) -> None:
        self._access_log = access_log
        self._cors = cors

    def malformed(self, problem: Problem, path: str) -> bytes:
        name = request_id(None)
        self._access_log.refused(request_id=name, status=problem.status, error=problem.detail)
        return closing_problem(problem, name, self._cors, path)

    def too_many_connections(self) -> bytes:
        return closing_problem(TOO_MANY_CLIENTS, request_id(None), self._cors)


def proxy_server(
    handler: Handler,
    settings: ProxySettings,
    limits: ConnectionLimits,
    access_log: AccessLog,
    readiness: Readiness,
) -> Server:
    """A server that answers errors as the proxy does, and drains when it does."""
    errors = ProxyErrorResponses(access_log, settings.cors)
    limits = replace(
        limits, header_hint=": see --header-timeout", max_body_bytes=settings.limits.max_body_bytes
    )
    server = Server(handler, errors, limits, asyncio.get_running_loop())
    readiness.on_drain(server.drain)
    return server
