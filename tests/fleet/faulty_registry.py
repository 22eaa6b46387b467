"""The embedded registry, misbehaving as registries do: each fault by its name."""

import asyncio
import json
from collections.abc import Awaitable, Callable

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

TRUTHFULLY = {"X-Truthfully": "yes"}
"""The headers of a question of the test's own: no fault touches it."""

_HEALTH = "/v1/health/service/"
_WAIT_S = 1
_HIGH = str(10**18)


class Misbehaviour:
    """An aiohttp middleware. `fault` is the name of one of its methods, or empty while it behaves.

    No blocking query lasts longer than a second, fault or not: a watch that sits in one of 30 would sleep
    through the fault.
    """

    def __init__(self) -> None:
        self.watched: list[int] = []
        """The index, or 0, with which each query of a watch came that met the fault; workers do not watch."""
        self._fault = ""

    @property
    def fault(self) -> str:
        return self._fault

    @fault.setter
    def fault(self, fault: str) -> None:
        if fault:
            self.watched.clear()
        self._fault = fault

    @property
    def middleware(self) -> Callable[..., Awaitable[web.StreamResponse]]:
        @web.middleware
        async def misbehave(request: web.Request, handler: Handler) -> web.StreamResponse:
            watch = request.path.startswith(_HEALTH) and "filter" not in request.query
            if "wait" in request.query:
                request = request.clone(rel_url=request.rel_url.update_query(wait=f"{_WAIT_S}s"))
            if not self.fault or TRUTHFULLY.items() <= request.headers.items():
                return await handler(request)
            if watch:
                self.watched.append(int(request.query.get("index", 0)))
            response: web.StreamResponse = await getattr(self, self.fault)(request, handler)
            return response

        return misbehave

    async def answers_500(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """To everybody, heartbeats included."""
        return web.Response(status=500, text="No cluster leader")

    async def lists_nobody(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """The list is empty for a moment, as after a restart without state."""
        if not request.path.startswith(_HEALTH):
            return await handler(request)
        await asyncio.sleep(0.1)
        return web.json_response([], headers={"X-Consul-Index": _HIGH})

    async def counts_backwards(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Its index falls with each answer to a watch."""
        if not request.path.startswith(_HEALTH):
            return await handler(request)
        await asyncio.sleep(0.1)
        response = await handler(request.clone(rel_url=request.path))
        response.headers["X-Consul-Index"] = str(10**6 - len(self.watched))
        return response

    async def breaks_off(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Its JSON ends in the middle."""
        if not request.path.startswith(_HEALTH):
            return await handler(request)
        await asyncio.sleep(0.1)
        return web.Response(text='[{"Node": {', headers={"X-Consul-Index": "7"})

    async def hangs(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """It takes every request, heartbeats included, and answers none while the fault lasts."""
        while self.fault:  # noqa: ASYNC110 - it is another thread that ends the fault
            await asyncio.sleep(0.05)
        return web.Response(status=500)

    async def lists_ten_thousand(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Among the real ones are ten thousand that nobody can reach, in a network made for documentation."""
        if not request.path.startswith(_HEALTH):
            return await handler(request)
        await asyncio.sleep(_WAIT_S if request.query.get("index") == _HIGH else 0.1)
        response = await handler(request.clone(rel_url=request.path))
        assert isinstance(response, web.Response)
        real = json.loads(response.text or "[]")
        ghosts = [_ghost(number) for number in range(10_000)]
        return web.json_response(real + ghosts, headers={"X-Consul-Index": _HIGH})


def _ghost(number: int) -> dict[str, object]:
    service = {"ID": f"ghost-{number:05}", "Address": "127.0.0.1", "Port": 1, "Meta": {}}
    return {"Node": {}, "Service": service, "Checks": [{"Status": "passing"}]}
