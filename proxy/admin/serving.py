"""Serves the proxy's own pages: on a unix socket for the public port, and on the admin port."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from tfleet.contract.address import Address
from tfleet.httpd.listen import CannotListenError
from tfleet.httpd.server import listening
from tfleet.proxy.admin.app import make_app
from tfleet.proxy.admin.page_request import PageForwarder, PageLimits
from tfleet.proxy.admin.page_server import page_server
from tfleet.proxy.admin.page_sources import PageSources
from tfleet.proxy.admin.socket_folder import NoSocketFolderError
from tfleet.proxy.readiness import Readiness
from tfleet.proxy.routes import by_route, proxy_server, server_options
from tfleet.proxy.settings import ProxySettings
from tfleet.proxy.telemetry.access_log import AccessLog
from tfleet.proxy.upstream.connection_pool import WorkerConnections

_ADMIN_DRAIN_S: Final = 1.0
_TIMEOUT_S: Final = 5.0
"""A page takes no longer where all is well. A probe gets its answer while the parent process is stopped."""
_MAX_OPERATORS: Final = 128
"""Connections to the admin port. They do not count for --max-connections: a full public port is no reason
to refuse an operator."""


@contextlib.asynccontextmanager
async def serving_pages(
    settings: ProxySettings,
    sources: PageSources,
    connections: WorkerConnections,
    access_log: AccessLog,
    readiness: Readiness,
) -> AsyncIterator[tuple[Path, Address | None]]:
    """The proxy's own pages: gives the unix socket of those for the public port, and the address of the admin
    port, where there is one. Raises CannotListenError.
    """
    serving, cors, admin = settings.serving, settings.cors, settings.listen.admin
    async with contextlib.AsyncExitStack() as stack:
        try:
            public = make_app(serving, sources, access_log, cors, for_operators=admin is None)
            pages = await stack.enter_async_context(page_server(public))
            if admin is None:
                yield pages, None
                return
            all_pages = await stack.enter_async_context(
                page_server(make_app(serving, sources, access_log, cors, predicts=False))
            )
        except NoSocketFolderError as error:
            raise CannotListenError(str(error)) from error
        limits = replace(settings.listen.limits, max_connections=_MAX_OPERATORS)
        forwarder = page_forwarder(settings, all_pages, connections, access_log)
        handler = by_route(server_options(access_log, cors), None, forwarder)
        server = proxy_server(handler, settings, limits, access_log, readiness)
        address = await stack.enter_async_context(
            listening(server, admin, option="--admin-port", drain_timeout_s=_ADMIN_DRAIN_S)
        )
        yield pages, address


def page_forwarder(
    settings: ProxySettings, pages: Path, connections: WorkerConnections, access_log: AccessLog
) -> PageForwarder:
    limits = settings.limits
    return PageForwarder(
        pages,
        connections,
        PageLimits(limits.max_body_bytes, min(limits.timeout_s, _TIMEOUT_S), limits.client_timeout_s),
        access_log,
        settings.cors,
        asyncio.get_running_loop(),
    )
