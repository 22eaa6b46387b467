"""Memory for answers: an answer is held whole from its read from Redis until its caller has taken it.

A caller who reads slowly, or not at all, would else hold it for as long as it likes, and could ask for it
many times. So answers have room together, and each has a time limit for being written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from tfleet.contract.problem import Problem, ProblemError

SMALL_BYTES: Final = 64 * 1024
"""So much is in the buffers of a connection anyway, and connections have a limit of their own."""
SLOWEST_BYTES_PER_S: Final = 16 * 1024
_TAKEN: Final = web.RequestKey("answer_bytes", int)
_NO_ROOM: Final = Problem(
    503,
    "too many answers are being fetched at once: ask for this one again after Retry-After",
    retry_after_s=1,
)


class AnswerRoom:
    """Room for `max_bytes` of answers; one that is larger takes all of it. Small ones take none. A caller may
    read nothing for `client_timeout_s`. It belongs to one event loop.
    """

    def __init__(self, max_bytes: int, client_timeout_s: float) -> None:
        self._max_bytes = self._free_bytes = max_bytes
        self._client_timeout_s = client_timeout_s

    def __repr__(self) -> str:
        return f"<AnswerRoom {self._free_bytes} bytes free>"

    def take(self, request: web.Request, size: int) -> None:
        """Take room for the answer to a request, until the response is written. Raises ProblemError (503)."""
        if size <= SMALL_BYTES:
            return
        taken = min(size, self._max_bytes)
        if taken > self._free_bytes:
            raise ProblemError(_NO_ROOM)
        self._free_bytes -= taken
        request[_TAKEN] = taken

    def give_back(self, request: web.Request) -> None:
        """Give back what a request has taken."""
        self._free_bytes += request.get(_TAKEN, 0)

    def limit_s(self, request: web.Request) -> float | None:
        """How long writing the response may take; None for as long as it likes."""
        taken = request.get(_TAKEN)
        return None if taken is None else self._client_timeout_s + taken / SLOWEST_BYTES_PER_S


def writing_in_room(room: AnswerRoom) -> Any:
    """Writes responses that have taken room, and gives it back."""

    @web.middleware
    async def middleware(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        try:
            response = await handler(request)
            if (limit_s := room.limit_s(request)) is not None:
                await _write(request, response, limit_s)
            return response
        finally:
            room.give_back(request)

    return middleware


async def _write(request: web.Request, response: web.StreamResponse, limit_s: float) -> None:
    try:
        async with asyncio.timeout(limit_s):
            await response.prepare(request)
            await response.write_eof()
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
    except ConnectionError:
        pass  # the library finds out by itself
