"""A running proxy: everything it owns, started and stopped in order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import structlog
from aiohttp import web

from tfleet.discovery.address import Address
from tfleet.discovery.embedded import make_registry
from tfleet.discovery.health import ConsulHealth
from tfleet.discovery.index import WAIT_S
from tfleet.discovery.instance import Instance
from tfleet.discovery.registry import ConsulRegistry, EmbeddedRegistry, Registry, StaticRegistry
from tfleet.discovery.watch import Watch
from tfleet.proxy.app import Mode, make_app
from tfleet.proxy.attempt import make_session
from tfleet.proxy.fleet import Fleet
from tfleet.proxy.forward import Forwarder, Limits
from tfleet.proxy.metrics import Metrics
from tfleet.proxy.picker import Balance
from tfleet.proxy.probe import Prober
from tfleet.proxy.readiness import Readiness

# After an early answer the rest of a body is thrown away for this long, so that the client sees the answer
# instead of a reset.
_LINGER_S = 2.0
# Shorter than a worker keeps an idle connection (see worker/http/server.py), so that the proxy closes first.
_KEEP_ALIVE_S = 15.0


class CannotListenError(Exception):
    """An address is taken or not this machine's. The message is one line that names the option to change."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line says. `port` 0 is any free one."""

    host: str
    port: int
    mode: Mode
    balance: Balance
    registry: Registry
    service: str
    limits: Limits
    drain_timeout_s: float


async def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT, then finish what is in flight. Raises CannotListenError."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    async with running(settings):
        await stop.wait()


@contextlib.asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Address]:
    """A proxy that serves inside the block, at the address it gives, and has drained after it.

    One task group owns the watch and the prober: if one of them dies, so does the block.
    """
    log: Any = structlog.get_logger()
    fleet, readiness = Fleet(settings.balance), Readiness()
    metrics = Metrics(fleet)
    async with contextlib.AsyncExitStack() as stack:
        session = await stack.enter_async_context(make_session(_KEEP_ALIVE_S))
        prober = Prober(fleet, session)
        beside = [prober.run]
        if isinstance(settings.registry, StaticRegistry):
            fleet.synced(Instance(str(address), address) for address in settings.registry.addresses)
            await prober.round()  # before anybody asks: there is no registry to wait for
        else:
            health = ConsulHealth(await _registry_address(stack, settings.registry), wait_s=WAIT_S)
            stack.push_async_callback(health.close)
            beside.append(Watch(health, settings.service, fleet.synced).run)
        await stack.enter_async_context(_beside(*beside))
        forwarder = Forwarder(fleet, session, settings.limits, metrics)
        app = make_app(settings.mode, fleet, forwarder, metrics, readiness)
        address = await stack.enter_async_context(
            _site(app, settings.host, settings.port, "--port", settings.drain_timeout_s)
        )
        log.info("proxy listening", address=str(address), mode=settings.mode, registry=str(settings.registry))
        yield address
        readiness.draining = True
        log.info("proxy draining", fleet=repr(fleet))


async def _registry_address(
    stack: contextlib.AsyncExitStack, registry: ConsulRegistry | EmbeddedRegistry
) -> Address:
    """Where the registry answers; the embedded one is started for it."""
    if isinstance(registry, ConsulRegistry):
        return registry.address
    host, port = registry.address.host, registry.address.port
    # handler_cancellation: a watcher that leaves gives up its blocking query at once.
    site = _site(make_registry(), host, port, "--registry-port", 0.0, handler_cancellation=True)
    address = await stack.enter_async_context(site)
    structlog.get_logger().info("registry listening", address=str(address))
    return address


@contextlib.asynccontextmanager
async def _site(
    app: web.Application,
    host: str,
    port: int,
    option: str,
    drain_timeout_s: float,
    *,
    handler_cancellation: bool = False,
) -> AsyncIterator[Address]:
    """The application on a socket; at the end it stops accepting and lets requests finish."""
    runner = web.AppRunner(
        app,
        access_log=None,
        auto_decompress=False,  # a body goes on as it came, under the headers that it came with
        handler_cancellation=handler_cancellation,
        lingering_time=_LINGER_S,
        shutdown_timeout=drain_timeout_s,
    )
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            # In the system's words: asyncio puts the address before them. A look-up that failed has no errno.
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
            raise CannotListenError(f"can't listen on {host}:{port}: {reason}; see {option}") from error
        bound = runner.addresses[0]
        yield Address(bound[0], bound[1])
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def _beside(*forever: Callable[[], Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Run what never ends by itself for as long as the block; if one of them fails, the block fails."""
    failure: Exception | None = None
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(run()) for run in forever]
        try:
            yield
        except Exception as error:  # raised again below, where the group can't wrap it
            failure = error
        finally:
            for task in tasks:
                task.cancel()
    if failure is not None:
        raise failure
