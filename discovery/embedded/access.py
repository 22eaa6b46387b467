"""Who may ask the registry anything: no web page of another site, and where there is a token who has it.

The token that those who ask have to show, as its file has it now.
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


_LOOK_EVERY_S: Final = 1.0
_LOOK_AGAIN_S: Final = 0.1  # after one that was wrong: others read a new file at once
_BEARER: Final = "bearer "
_HOW: Final = "say --registry-token-file FILE, or set CONSUL_HTTP_TOKEN_FILE"


class DeniedError(RefusedRequestError):
    """No token, or not the right one: in the words of Consul, and with what to do."""

    status = 403


class Token:
    """Looks at its file once a second at the most, and sooner where somebody shows another token."""

    def __init__(self, access: Access, clock: Callable[[], float] = time.monotonic) -> None:
        """Read it. Raises BadAccessError."""
        self._credentials = Credentials(access)
        self._credentials.check()
        self._clock = clock
        self._wanted = self._credentials.headers().get(CONSUL_TOKEN, "")
        self._looked_s = clock()
        self._looking = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<Token of {self._credentials.access.token_file}>"

    async def check(self, header: Callable[[str], str | None]) -> None:
        """Raise DeniedError where the head of a request does not show it."""
        shown = header(CONSUL_TOKEN) or _bearer(header("Authorization") or "")
        if not shown:
            raise DeniedError(f"Permission denied: this registry asks for its token: {_HOW}")
        await self._look(_LOOK_EVERY_S)
        if self._is(shown):
            return
        await self._look(_LOOK_AGAIN_S)
        if not self._is(shown):
            raise DeniedError(
                f"ACL not found: this is not the registry's token: {_HOW} with the file that it has"
            )

    def _is(self, shown: str) -> bool:
        return hmac.compare_digest(shown.encode(errors="replace"), self._wanted.encode())

    async def _look(self, after_s: float) -> None:
        """Read the file where that was longer ago. Who comes while it is read waits for what it says."""
        if self._clock() - self._looked_s < after_s:
            return
        async with self._looking:
            now_s = self._clock()
            if now_s - self._looked_s < after_s:  # somebody else has just done it
                return
            try:
                presented = await asyncio.to_thread(self._credentials.headers)
                self._wanted = presented.get(CONSUL_TOKEN, self._wanted)
            except RegistryUnavailableError:  # never read: then there would be no Token
                pass
            self._looked_s = now_s


def _bearer(authorization: str) -> str:
    return authorization[len(_BEARER) :].strip() if authorization.lower().startswith(_BEARER) else ""
