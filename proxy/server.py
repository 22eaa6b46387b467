"""Sockets that an application answers on: the clients' and that of the embedded registry.

A running proxy: everything it owns, started and stopped in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import structlog
from aiohttp import web

from tfleet.contract.address import Address
from tfleet.contract.names import CLASSIFY_PATHS, LOOKUP_PATH
from tfleet.discovery.consul.health import WAIT_S, ConsulHealth
from tfleet.discovery.embedded import make_registry
from tfleet.discovery.instance import Instance
from tfleet.discovery.listing import ServiceList
from tfleet.discovery.registry import ConsulRegistry, Registry, StaticRegistry
from tfleet.discovery.watch import Watch
from tfleet.httpd.admission import Admission, ConnectionMetrics
from tfleet.httpd.interfaces import Handler
from tfleet.httpd.listen import listen_errors
from tfleet.httpd.server import listening
from tfleet.proxy.admin.app import PageSources
from tfleet.proxy.admin.registry_metrics import MembershipMetrics, RegistryMetrics
from tfleet.proxy.admin.serving import page_forwarder, serving_pages
from tfleet.proxy.admin.worker_metrics import WorkerMetricsPages
from tfleet.proxy.admin.workers import LocalStatus
from tfleet.proxy.balancing.health_check import Prober
from tfleet.proxy.balancing.model_names import ModelNames
from tfleet.proxy.balancing.worker_table import WorkerCollector, WorkerTable
from tfleet.proxy.forwarding.forwarder import Forwarder
from tfleet.proxy.p2p.direct_response import DirectResponse
from tfleet.proxy.p2p.local_networks import NetworkView
from tfleet.proxy.p2p.lookup import Lookup
from tfleet.proxy.p2p.redirect import Redirect
from tfleet.proxy.readiness import Readiness
from tfleet.proxy.registration import ProxyRegistration
from tfleet.proxy.routes import Routes, by_route, proxy_server
from tfleet.proxy.settings import ProxySettings
from tfleet.proxy.telemetry.access_log import AccessLog
from tfleet.proxy.telemetry.metrics import ProcessMetrics, ProxyMetrics
from tfleet.proxy.ticket_issuer import TicketIssuer
from tfleet.proxy.upstream.connection_pool import WorkerConnections
from tfleet.runtime.open_files import open_files_warning


@contextlib.asynccontextmanager
async def registry_site(app: web.Application, address: Address) -> AsyncIterator[Address]:
    """The embedded registry on a socket."""
    # handler_cancellation: a watcher that leaves gives up its blocking query at once.
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.0)
    await runner.setup()
    try:
        with listen_errors(address, "--registry-port"):
            await web.TCPSite(runner, address.host, address.port).start()
        yield Address(*runner.addresses[0][:2])
    finally:
        await runner.cleanup()


# Shorter than a worker keeps an idle connection (see worker/wsgi/server.py), so that the proxy closes first.
KEEP_ALIVE_S = 15.0


async def serve(settings: ProxySettings) -> None:
    """Run until SIGTERM or SIGINT, then finish what is in flight. Raises CannotListenError."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    if missing := open_files_warning(settings.client_limits.max_connections):
        structlog.get_logger().warning(missing)
    async with running(settings):
        await stop.wait()


@contextlib.asynccontextmanager
async def running(settings: ProxySettings) -> AsyncIterator[Address]:
    """A proxy of one process: serves inside the block, at the address it gives, and has drained after it."""
    readiness = Readiness()
    async with contextlib.AsyncExitStack() as stack:
        registry = await consul_of(stack, settings.registry)
        now = await stack.enter_async_context(serving(settings, registry, readiness))
        if registry is not None:
            membership = ProxyRegistration(registry, settings.service, settings.advertise)
            now.metrics.include(MembershipMetrics(membership))
            stack.push_async_callback(membership.leave)
            join = functools.partial(membership.join, now.address, readiness, now.fleet.first_ready)
            await stack.enter_async_context(beside(join))
        log_listening(settings, now.address, now.admin)
        yield now.address
        readiness.drain()
        log_draining(now.fleet, now.clients)
        if registry is not None:
            await membership.leave()
        await asyncio.sleep(settings.drain_grace_s)


def log_listening(settings: ProxySettings, address: Address, admin: Address | None, **more: object) -> None:
    """Say that clients may come."""
    if admin is not None:
        more = {"admin": str(admin), **more}
    structlog.get_logger().info(
        "proxy listening", address=str(address), mode=settings.mode, registry=str(settings.registry), **more
    )


def log_draining(fleet: WorkerTable, clients: Admission) -> None:
    """Say what there is to finish."""
    in_flight = sum(fleet.in_flight(worker_id) for worker_id in fleet.pool.members)
    structlog.get_logger().info("proxy draining", in_flight=in_flight, connections=clients.admitted)


@dataclass(frozen=True, slots=True)
class Serving:
    """What serves, and the addresses that it serves at."""

    address: Address
    admin: Address | None
    fleet: WorkerTable
    clients: Admission
    metrics: ProxyMetrics


@contextlib.asynccontextmanager
async def serving(
    settings: ProxySettings,
    registry: ConsulRegistry | None,
    readiness: Readiness,
    *,
    pages: Path | None = None,
    known: Sequence[Instance] = (),
    shared_port: bool = False,
) -> AsyncIterator[Serving]:
    """Serves clients inside the block; after it, what was begun has been finished.

    `registry` is the one to ask, None where it is static. `pages` is the unix socket of another process that
    serves the pages. Workers that are `known` beforehand are served from the first client on. One task group
    owns the watch and the prober: if one of them dies, so does the block.
    """
    loop = asyncio.get_running_loop()
    fleet = WorkerTable(settings.balance, slow_start_s=settings.slow_start_s)
    metrics = ProxyMetrics()
    metrics.include(WorkerCollector(fleet))
    metrics.include(ProcessMetrics(loop))
    observer = AccessLog(metrics, loop)
    async with contextlib.AsyncExitStack() as stack:
        connections = stack.enter_context(WorkerConnections(loop, KEEP_ALIVE_S))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        prober = Prober(fleet, session)
        tickets = TicketIssuer(settings.ticket_keys, settings.service)
        view = NetworkView()
        await view.look()
        always = [prober.run, tickets.run, view.run]
        if isinstance(settings.registry, StaticRegistry):
            known = [Instance(str(address), address) for address in settings.registry.addresses]
        if known:
            fleet.apply_instances(known)
            await prober.round()  # before anybody asks
        if registry is not None:
            watch = _watch(stack, settings, registry, fleet)
            metrics.include(RegistryMetrics(watch, fleet))
            always.append(watch.run)
        await stack.enter_async_context(beside(*always))
        status = LocalStatus(fleet, metrics, readiness)
        sources = PageSources(status, WorkerMetricsPages(status, session), tickets)
        own_pages = serving_pages(settings, sources, connections, observer, readiness)
        page_socket, admin = (pages, None) if pages else await stack.enter_async_context(own_pages)
        forwarder = Forwarder(
            fleet, connections, settings.limits, metrics, observer, tickets, settings.cors, loop
        )
        routes = _routes(settings, fleet, tickets, view, observer, forwarder)
        handler = by_route(routes, page_forwarder(settings, page_socket, connections, observer))
        server = proxy_server(handler, settings, settings.client_limits, observer, readiness)
        metrics.include(_connection_metrics(server.admission))
        address = await stack.enter_async_context(
            listening(
                server,
                settings.address,
                option="--port",
                drain_timeout_s=settings.drain_timeout_s,
                shared_port=shared_port,
            )
        )
        yield Serving(address, admin, fleet, server.admission, metrics)


def _watch(
    stack: contextlib.AsyncExitStack, settings: ProxySettings, registry: ConsulRegistry, fleet: WorkerTable
) -> Watch:
    """What keeps the table of workers as the registry has it."""
    health = ConsulHealth(registry.address, wait_s=WAIT_S, access=registry.access)
    stack.push_async_callback(health.close)
    hint = registry.access.acl_hint(settings.service) if settings.registry == registry else ""
    names = ModelNames(settings.service)

    def listed(services: ServiceList) -> None:
        fleet.apply_service_list(services)
        names.update(services)

    return Watch(health, settings.service, listed, on_check=fleet.apply_registry_check, hint=hint)


def _connection_metrics(admission: Admission) -> ConnectionMetrics:
    return ConnectionMetrics(
        admission, connections="tfleet_proxy_connections", refused="tfleet_proxy_refused_connections"
    )


def _routes(
    settings: ProxySettings,
    fleet: WorkerTable,
    tickets: TicketIssuer,
    view: NetworkView,
    observer: AccessLog,
    forwarder: Forwarder,
) -> Routes:
    """The handlers of all requests but those for pages."""
    mode, cors = settings.mode, settings.cors
    lookup = DirectResponse(
        Lookup(fleet, tickets, view, forwards=mode == "forward").decide, observer, cors
    ).handle
    redirect = DirectResponse(Redirect(fleet, tickets, view).decide, observer, cors).handle
    image: Handler = redirect if mode == "p2p" else forwarder.handle
    looked_up = (LOOKUP_PATH, "/") if mode == "p2p" else (LOOKUP_PATH,)
    return {
        **{(b"POST", path.encode()): image for path in CLASSIFY_PATHS},
        **{(method, path.encode()): lookup for method in (b"GET", b"HEAD") for path in looked_up},
    }


async def consul_of(stack: contextlib.AsyncExitStack, registry: Registry) -> ConsulRegistry | None:
    """The registry to ask; the embedded one is started for it. None for a static one."""
    if isinstance(registry, StaticRegistry):
        return None
    if isinstance(registry, ConsulRegistry):
        return registry
    app = await asyncio.to_thread(make_registry, access=registry.access)  # which reads a file
    address = await stack.enter_async_context(registry_site(app, registry.address))
    structlog.get_logger().info("registry listening", address=str(address))
    return ConsulRegistry(address, registry.access)


@contextlib.asynccontextmanager
async def beside(*forever: Callable[[], Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
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
