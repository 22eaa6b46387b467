"""The embedded registry for tests, beside whatever the test itself does."""

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

from tfleet.contract.address import Address
from tfleet.discovery.consul.access import Access
from tfleet.discovery.embedded import make_registry
from tfleet.discovery.embedded.check_targets import addresses_of

_START_S = 10.0


@contextmanager
def embedded_registry(
    *middlewares: Callable[..., Any],
    access: Access | None = None,
    look_up: Callable[[str, int], Iterable[str]] = addresses_of,
) -> Iterator[Address]:
    """In a thread of its own, because a synchronous client would block the loop that it waits for.

    `middlewares` are aiohttp's; they see each request before the registry does, so that it can misbehave.
    With an `access` it asks for its token. `look_up` gives the addresses of names in HTTP checks.
    """
    started: concurrent.futures.Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, Address]]
    started = concurrent.futures.Future()
    app = make_registry(middlewares=middlewares, access=access, look_up=look_up)

    async def serve() -> None:
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
        await runner.setup()
        stop = asyncio.Event()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            started.set_result((asyncio.get_running_loop(), stop, Address(*runner.addresses[0][:2])))
            await stop.wait()
        finally:
            await runner.cleanup()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="embedded-registry")
    thread.start()
    loop, stop, address = started.result(timeout=_START_S)
    try:
        yield address
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
