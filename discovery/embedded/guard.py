"""Who may ask the registry anything: no web page of another site, and where there is a token who has it."""

from __future__ import annotations

from collections.abc import Collection

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from tfleet.discovery.embedded.errors import ForeignError
from tfleet.discovery.embedded.token import Token
from tfleet.discovery.machine import machine
from tfleet.discovery.origin import foreign_host, foreign_page


def guard(names: Collection[str], token: Token | None) -> Middleware:
    """Refuses before a body is read. `names` are host names by which this registry is asked."""
    machine()  # which looks its name up, so that it is there when it is asked for

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        if host := foreign_host(request.headers.get, names):
            raise ForeignError(
                f"{host} is no name of this registry, as far as it knows: ask for it by its address, or "
                f"run `tfleet registry --allow-host {host}`"
            )
        if page := foreign_page(request.headers.get):
            raise ForeignError(
                f"this comes from {page}: the registry is for programs, ask it without a browser"
            )
        if token is not None:
            await token.check(request.headers.get)
        return await handler(request)

    return guarded
