"""Access control of the embedded registry: rejects requests of web pages and, with a token file, without the
token.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Callable, Collection
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from tfleet.contract.origin import foreign_host, foreign_page, machine
from tfleet.discovery.consul.access import Access
from tfleet.discovery.consul.credentials import CONSUL_TOKEN, Credentials
from tfleet.discovery.embedded.errors import ForeignError, RefusedRequestError
from tfleet.discovery.errors import RegistryUnavailableError


def guard(names: Collection[str], token: Token | None) -> Middleware:
    """Return middleware that rejects requests before their bodies are read. `names` are host names of this
    registry.
    """
    machine()  # starts the lookup of the full host name, so that it is known when a request comes

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        if host := foreign_host(request.headers.get, names):
            raise ForeignError(
                f"{host} is not a known name of this registry: use its address, or "
                f"run `tfleet registry --allow-host {host}`"
            )
        if page := foreign_page(request.headers.get):
            raise ForeignError(
                f"this request comes from {page}: the registry is for programs, not for browsers"
            )
        if token is not None:
            await token.check(request.headers.get)
        return await handler(request)

    return guarded


_RELOAD_EVERY_S: Final = 1.0
_RELOAD_WHEN_WRONG_S: Final = 0.1  # sooner after a wrong token: the file may just have been replaced
_BEARER: Final = "bearer "
_HINT: Final = "use --registry-token-file FILE, or set CONSUL_HTTP_TOKEN_FILE"


class DeniedError(RefusedRequestError):
    """The token is missing or wrong: Consul's text, and what to do."""

    status = 403


class Token:
    """The token of the file; read again at most once a second, and sooner after a wrong token."""

    def __init__(self, access: Access, clock: Callable[[], float] = time.monotonic) -> None:
        """Read the file. Raises BadAccessError."""
        self._credentials = Credentials(access)
        self._credentials.check()
        self._clock = clock
        self._wanted = self._credentials.headers().get(CONSUL_TOKEN, "")
        self._read_at_s = clock()
        self._reading = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<Token of {self._credentials.access.token_file}>"

    async def check(self, header: Callable[[str], str | None]) -> None:
        """Raise DeniedError if the request's head does not have the token."""
        shown = header(CONSUL_TOKEN) or _bearer(header("Authorization") or "")
        if not shown:
            raise DeniedError(f"Permission denied: this registry requires a token: {_HINT}")
        await self._reload(_RELOAD_EVERY_S)
        if self._is(shown):
            return
        await self._reload(_RELOAD_WHEN_WRONG_S)
        if not self._is(shown):
            raise DeniedError(
                f"ACL not found: this is not the registry's token: {_HINT} with the registry's file"
            )

    def _is(self, shown: str) -> bool:
        return hmac.compare_digest(shown.encode(errors="replace"), self._wanted.encode())

    async def _reload(self, after_s: float) -> None:
        """Read the file if the last time is longer ago than that. Concurrent requests wait for the
        same read.
        """
        if self._clock() - self._read_at_s < after_s:
            return
        async with self._reading:
            now_s = self._clock()
            if now_s - self._read_at_s < after_s:  # another request has just read it
                return
            try:
                presented = await asyncio.to_thread(self._credentials.headers)
                self._wanted = presented.get(CONSUL_TOKEN, self._wanted)
            except RegistryUnavailableError:  # raised only if it was never read; then there is no Token
                pass
            self._read_at_s = now_s


def _bearer(authorization: str) -> str:
    return authorization[len(_BEARER) :].strip() if authorization.lower().startswith(_BEARER) else ""
