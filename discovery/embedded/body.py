"""Reading a request's body within bounds."""

from __future__ import annotations

import asyncio

from aiohttp import web

from tfleet.discovery.embedded.errors import SlowBodyError
from tfleet.discovery.embedded.limits import Limits


async def read_body(request: web.Request, limits: Limits) -> bytes:
    """The whole body. Its size is bounded by the application, its time here: raises SlowBodyError."""
    try:
        async with asyncio.timeout(limits.body_timeout_s):
            return await request.read()
    except TimeoutError:
        raise SlowBodyError(limits.body_timeout_s) from None
