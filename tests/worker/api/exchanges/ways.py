"""The two ways to a worker: by its own address, and through a proxy that finds it in a registry."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import http.client
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.embedded_registry import embedded_registry
from tests.support.fake_worker import settings
from tests.support.registered_workers import listed, ready, register, workers
from tests.support.waiting import eventually
from tests.support.worker_http import serving
from tfleet.contract.address import Address
from tfleet.discovery.registry import ConsulRegistry
from tfleet.proxy.server import single_process_proxy

_START_S = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; the names of headers are in any case of letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Way:
    """A client with one connection, which it opens again where the other side closes it."""

    def __init__(self, name: str, address: Address) -> None:
        self.name = name
        self.address = address
        self._connection = http.client.HTTPConnection(address.host, address.port, timeout=60)

    def post(self, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> Answer:
        """Send a request, as it is."""
        self._connection.request("POST", path, body, dict(headers or {}))
        answer = self._connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())  # type: ignore[arg-type] # a Message is one

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


@contextlib.contextmanager
def ways_to(model: Any, name: str) -> Iterator[dict[str, Way]]:
    """A worker with this model in this process, and the ways to it."""
    with contextlib.ExitStack() as stack:
        worker, _ = stack.enter_context(serving(model, name=name))
        proxy = stack.enter_context(proxy_before(worker, name))
        ways = {"worker": Way("worker", worker), "proxy": Way("proxy", proxy)}
        for way in ways.values():
            stack.callback(way.close)
        yield ways


@contextlib.contextmanager
def proxy_before(worker: Address, model: str) -> Iterator[Address]:
    """A proxy that knows this worker of this model, in a thread of its own."""
    started: concurrent.futures.Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, Address]]
    started = concurrent.futures.Future()

    async def serve(registry: Address) -> None:
        await register(registry, worker, model=model)
        async with single_process_proxy(settings(registry=ConsulRegistry(registry))) as proxy:
            await eventually(lambda: workers(proxy), wanted=ready)
            await eventually(lambda: listed(registry))  # its threads have started, too
            stop = asyncio.Event()
            started.set_result((asyncio.get_running_loop(), stop, proxy))
            await stop.wait()

    def run(registry: Address) -> None:
        try:
            asyncio.run(serve(registry))
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    with embedded_registry() as registry:
        thread = threading.Thread(target=run, args=(registry,), name="proxy")
        thread.start()
        try:
            loop, stop, proxy = started.result(timeout=_START_S)
            yield proxy
            loop.call_soon_threadsafe(stop.set)
        finally:
            thread.join()
