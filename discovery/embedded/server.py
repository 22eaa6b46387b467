"""The registry as an aiohttp application."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from tfleet.contract.names import EMBEDDED_REGISTRY
from tfleet.discovery.consul.access import Access
from tfleet.discovery.embedded import responses as reply
from tfleet.discovery.embedded.access import Token, guard
from tfleet.discovery.embedded.agent_api import AgentAPI
from tfleet.discovery.embedded.catalog_api import CatalogAPI
from tfleet.discovery.embedded.check_targets import addresses_of
from tfleet.discovery.embedded.errors import RefusedRequestError
from tfleet.discovery.embedded.key_value_file import KeyValueFile
from tfleet.discovery.embedded.kv_api import KeyValueAPI
from tfleet.discovery.embedded.limits import RegistryLimits
from tfleet.discovery.embedded.model import Node
from tfleet.discovery.embedded.state import RegistryState

AGENT: Final = web.AppKey("agent", RegistryState)
"""Where the application keeps what is registered: `app[AGENT].catalog`."""


def make_registry(
    *,
    clock: Callable[[], float] = time.monotonic,
    node: Node | None = None,
    limits: RegistryLimits | None = None,
    first_index: int | None = None,
    names: Collection[str] = (),
    access: Access | None = None,
    middlewares: Sequence[Middleware] = (),
    look_up: Callable[[str, int], Iterable[str]] = addresses_of,
) -> web.Application:
    """The embedded registry, to be run with `aiohttp.web.AppRunner` in the caller's loop.

    `clock` gives monotonic seconds. `node` is what services without an address are on. `first_index` is where
    the index starts, by default at the milliseconds since 1970, so that it rises over a restart as well and a
    watch that survived the restart gets its answer at once. `names` are host names by which it is asked,
    besides those that can only be its own (see origin.py). Where `access` has a token file everybody has to
    show its token. `middlewares` come first and see every request. `look_up` gives the addresses
    of the names in HTTP checks, and may block.

    Keys and values are in memory only; see `save_keys`. Blocking queries end at once when the application
    shuts down. Raises BadAccessError.
    """
    if first_index is None:
        first_index = time.time_ns() // 1_000_000
    agent = RegistryState(
        clock=clock,
        node=node or Node(),
        limits=limits or RegistryLimits(),
        first_index=first_index,
        look_up=look_up,
    )
    app = web.Application(
        middlewares=[
            *middlewares,
            _errors_as_text,
            guard(names, Token(access) if access and access.token_file else None),
            _at_present,
        ],
        client_max_size=agent.limits.http.body_bytes,
    )
    app[AGENT] = agent
    app.add_routes(AgentAPI(agent).routes())
    app.add_routes(CatalogAPI(agent, first_index=first_index).routes())
    app.add_routes(KeyValueAPI(agent).routes())
    app.cleanup_ctx.append(_running)
    app.on_shutdown.append(_close)
    app.on_response_prepare.append(_signed)
    return app


def save_keys(app: web.Application, folder: Path | None) -> None:
    """Have a registry load its keys and values from this folder when it starts, and save them there.

    With None they stay in memory only. `AppRunner.setup` then raises KeyValueFileError.
    """
    if folder is not None:
        app.cleanup_ctx.append(partial(_saving, KeyValueFile(folder)))


async def _saving(file: KeyValueFile, app: web.Application) -> AsyncIterator[None]:
    await app[AGENT].key_values.load(file)
    yield
    await app[AGENT].key_values.close()


async def _running(app: web.Application) -> AsyncIterator[None]:
    app[AGENT].open()
    yield
    await app[AGENT].close()


async def _close(app: web.Application) -> None:
    # Before the handlers are waited for, which is long before the clean-up.
    await app[AGENT].close()


async def _signed(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers[hdrs.SERVER] = EMBEDDED_REGISTRY


@web.middleware
async def _at_present(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let what is due happen before a request, and what it changed be known after it."""
    agent = request.app[AGENT]
    agent.advance()
    try:
        return await handler(request)
    finally:
        agent.settle()


@web.middleware
async def _errors_as_text(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except RefusedRequestError as error:
        return reply.text(error.status, str(error))
    except web.HTTPNotFound:
        return reply.text(404, "not in the part of Consul's API that the embedded registry speaks")
    except web.HTTPMethodNotAllowed as error:
        headers = {"Allow": ",".join(sorted(error.allowed_methods))}
        return reply.text(405, f"method {request.method} not allowed", headers)
    except web.HTTPRequestEntityTooLarge:
        return reply.text(
            413, f"Request body too large, max size: {request.app[AGENT].limits.http.body_bytes} bytes"
        )
