"""Starts a proxy and all it owns, and stops it in order."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import structlog
from aiohttp import web

from tfleet.contract.address import Address
from tfleet.contract.names import CLASSIFY_PATHS, EMBED_PATH, LOOKUP_PATH, PREDICT_PATH
from tfleet.discovery.embedded import make_registry, save_keys
from tfleet.discovery.instance import Instance
from tfleet.discovery.plan_watch import Plans
from tfleet.discovery.registry import ConsulRegistry, Registry, StaticRegistry
from tfleet.httpd.admission import Admission, ConnectionMetrics
from tfleet.httpd.interfaces import Handler
from tfleet.httpd.listen import listen_errors
from tfleet.httpd.server import listening
from tfleet.proxy.admin.page_sources import PageSources
from tfleet.proxy.admin.registry_metrics import ProxyRegistrationMetrics
from tfleet.proxy.admin.serving import page_forwarder, serving_pages
from tfleet.proxy.admin.workers import LocalStatus
from tfleet.proxy.balancing.health_check import Prober
from tfleet.proxy.balancing.model_router import ModelRouter
from tfleet.proxy.balancing.worker_collector import WorkerCollector
from tfleet.proxy.balancing.worker_table import WorkerTable
from tfleet.proxy.forwarding.forwarder import Forwarder
from tfleet.proxy.jobs.serving import ServedJobs, jobs_or, serving_jobs
from tfleet.proxy.p2p.direct_response import DirectResponse
from tfleet.proxy.p2p.local_networks import NetworkView
from tfleet.proxy.p2p.lookup import Lookup
from tfleet.proxy.p2p.redirect import Redirect
from tfleet.proxy.readiness import Readiness
from tfleet.proxy.registration import ProxyRegistration
from tfleet.proxy.registry_watches import registry_tasks
from tfleet.proxy.routes import WorkerHandlers, browser_or, by_route, proxy_server, server_options
from tfleet.proxy.settings import ProxySettings
from tfleet.proxy.telemetry.access_log import AccessLog
from tfleet.proxy.telemetry.metrics import ProcessMetrics, ProxyMetrics
from tfleet.proxy.ticket_issuer import TicketIssuer
from tfleet.proxy.upstream.connection_pool import WorkerConnections
from tfleet.runtime.open_files import open_files_warning

KEEP_ALIVE_S: Final = 15.0
"""Shorter than a worker keeps an idle connection (worker/wsgi/server.py), so that the proxy closes first."""


@contextlib.asynccontextmanager
async def registry_site(app: web.Application, address: Address) -> AsyncIterator[Address]:
    """Serve the embedded registry inside the block. Raises CannotListenError and KeyValueFileError."""
    # handler_cancellation: a watcher that leaves gives up its blocking query at once.
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.0)
    try:
        await runner.setup()
        with listen_errors(address, "--registry-port"):
            await web.TCPSite(runner, address.host, address.port).start()
        yield Address(*runner.addresses[0][:2])
    finally:
        await runner.cleanup()


async def run_proxy(settings: ProxySettings) -> None:
    """Run a proxy until SIGTERM or SIGINT, then finish what is in flight.

    Raises CannotListenError and KeyValueFileError.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    if missing := open_files_warning(settings.listen.limits.max_connections):
        structlog.get_logger().warning("the limit of open files is too low", why=missing)
    async with single_process_proxy(settings):
        await stop.wait()


@contextlib.asynccontextmanager
async def single_process_proxy(settings: ProxySettings) -> AsyncIterator[Address]:
    """Run a proxy of one process: it serves inside the block, at the address given, and drains after it."""
    readiness, discovery = Readiness(), settings.discovery
    async with contextlib.AsyncExitStack() as stack:
        registry = await consul_of(stack, discovery.registry)
        proxy = await stack.enter_async_context(serve_clients(settings, registry, readiness))
        if registry is not None:
            registration = ProxyRegistration(registry, discovery.service, discovery.advertise)
            proxy.metrics.include(ProxyRegistrationMetrics(registration))
            stack.push_async_callback(registration.leave)
            join = functools.partial(registration.join, proxy.address, readiness, proxy.workers.first_ready)
            await stack.enter_async_context(background_tasks(join))
        log_listening(settings, proxy.address, proxy.admin)
        yield proxy.address
        readiness.drain()
        log_draining(proxy.workers, proxy.clients)
        if registry is not None:
            await registration.leave()
        await asyncio.sleep(settings.drain.grace_s)


def log_listening(settings: ProxySettings, address: Address, admin: Address | None, **more: object) -> None:
    """Log where the proxy listens."""
    if admin is not None:
        more = {"admin": str(admin), **more}
    registry = str(settings.discovery.registry)
    structlog.get_logger().info(
        "proxy listening", address=str(address), mode=settings.serving.mode, registry=registry, **more
    )


def log_draining(workers: WorkerTable, clients: Admission) -> None:
    """Log how many requests and connections are still open."""
    in_flight = sum(workers.in_flight(worker_id) for worker_id in workers.pool.members)
    structlog.get_logger().info("proxy draining", in_flight=in_flight, connections=clients.admitted)


@dataclass(frozen=True, slots=True)
class ServingProxy:
    """A proxy that serves clients: its addresses and the parts that others need."""

    address: Address
    admin: Address | None
    workers: WorkerTable
    clients: Admission
    metrics: ProxyMetrics


@contextlib.asynccontextmanager
async def serve_clients(
    settings: ProxySettings,
    registry: ConsulRegistry | None,
    readiness: Readiness,
    *,
    pages: Path | None = None,
    known: Sequence[Instance] = (),
    plans: Plans | None = None,
    shared_port: bool = False,
) -> AsyncIterator[ServingProxy]:
    """Serve clients inside the block, and finish the requests that have begun after it.

    `registry` is the one to watch, None for a static list. `pages` is the unix socket of another process that
    serves the pages. `known` workers and `plans` are used from the first request on; with None the plans have
    to be read first. One task group owns the watch and the prober: if one of them fails, so does the block.
    """
    loop = asyncio.get_running_loop()
    listen, discovery, balancing = settings.listen, settings.discovery, settings.balancing
    workers = WorkerTable(balancing.balance, slow_start_s=balancing.slow_start_s)
    router = ModelRouter(workers, Plans() if registry is None else plans)
    metrics = _metrics(router, loop)
    access_log = AccessLog(metrics, loop)
    async with contextlib.AsyncExitStack() as stack:
        connections = stack.enter_context(WorkerConnections(loop, KEEP_ALIVE_S))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        prober = Prober(workers, session)
        tickets = TicketIssuer(settings.ticket_keys, discovery.service)
        view = NetworkView()
        await view.look()
        background = [prober.run, tickets.run, view.run]
        if isinstance(discovery.registry, StaticRegistry):
            known = [Instance(str(address), address) for address in discovery.registry.addresses]
        if known:
            workers.apply_instances(known)
            await prober.round()  # before the first request
        if registry is not None:
            background += registry_tasks(stack, settings, registry, router, metrics)
        await stack.enter_async_context(background_tasks(*background))
        status = LocalStatus(router, metrics, readiness)
        sources = PageSources(status, session, tickets, lambda: router.plans, jobs=settings.jobs is not None)
        own_pages = serving_pages(settings, sources, connections, access_log, readiness)
        page_socket, admin = (pages, None) if pages else await stack.enter_async_context(own_pages)
        forwarder = Forwarder(
            router, connections, settings.limits, metrics, access_log, tickets, settings.cors, loop
        )
        stack.enter_context(forwarder.mirror)
        own = page_forwarder(settings, page_socket, connections, access_log)
        route = _handler(settings, router, tickets, view, access_log, forwarder.handle, own)
        if settings.jobs is not None:
            served = serving_jobs(settings, settings.jobs, router, connections, access_log)
            route = jobs_or(await _run_jobs(stack, served, metrics), route)
        server = proxy_server(route, settings, listen.limits, access_log, readiness)
        metrics.include(_connection_metrics(server.admission))
        where, drain_s = listen.address, settings.drain.timeout_s
        port = listening(server, where, option="--port", drain_timeout_s=drain_s, shared_port=shared_port)
        address = await stack.enter_async_context(port)
        yield ServingProxy(address, admin, workers, server.admission, metrics)


async def _run_jobs(
    stack: contextlib.AsyncExitStack,
    served: contextlib.AbstractAsyncContextManager[ServedJobs],
    metrics: ProxyMetrics,
) -> Handler:
    """Run the queue of jobs until the stack ends. Returns what answers the requests for it."""
    jobs = await stack.enter_async_context(served)
    await stack.enter_async_context(background_tasks(*jobs.tasks))
    metrics.include(jobs.metrics)
    return jobs.handler


def _metrics(router: ModelRouter, loop: asyncio.AbstractEventLoop) -> ProxyMetrics:
    metrics, workers = ProxyMetrics(), router.table
    for collector in (
        WorkerCollector(workers),
        workers.tries,
        router.fallbacks,
        router.mirror_counts,
        ProcessMetrics(loop),
    ):
        metrics.include(collector)
    return metrics


def _connection_metrics(admission: Admission) -> ConnectionMetrics:
    return ConnectionMetrics(
        admission, connections="tfleet_proxy_connections", refused="tfleet_proxy_refused_connections"
    )


def _handler(
    settings: ProxySettings,
    router: ModelRouter,
    tickets: TicketIssuer,
    view: NetworkView,
    access_log: AccessLog,
    forward: Handler,
    pages: Handler,
) -> Handler:
    """The handler of all requests on the public port."""
    serving, cors = settings.serving, settings.cors
    redirect = DirectResponse(Redirect(router, tickets, view).decide, access_log, cors).handle
    workers = WorkerHandlers(
        native=redirect if serving.is_p2p else forward,
        inference=forward if serving.forwards_inference else redirect,
        models_unknown=isinstance(settings.discovery.registry, StaticRegistry),
    )
    lookup = Lookup(router, tickets, view, forwards=not serving.is_p2p)
    looked_up = DirectResponse(lookup.decide, access_log, cors).handle
    front = browser_or(pages, looked_up) if serving.is_p2p else pages
    routes = {
        **server_options(access_log, cors),
        **{(b"POST", path.encode()): workers.native for path in (*CLASSIFY_PATHS, EMBED_PATH)},
        **{(method, PREDICT_PATH.encode()): workers.native for method in (b"GET", b"HEAD")},
        **{(method, LOOKUP_PATH.encode()): looked_up for method in (b"GET", b"HEAD")},
        **{(method, b"/"): front for method in (b"GET", b"HEAD")},
    }
    return by_route(routes, workers, pages)


async def consul_of(stack: contextlib.AsyncExitStack, registry: Registry) -> ConsulRegistry | None:
    """Return the registry to watch, after starting the embedded one; None for a static list."""
    if isinstance(registry, StaticRegistry):
        return None
    if isinstance(registry, ConsulRegistry):
        return registry
    app = await asyncio.to_thread(make_registry, access=registry.access)  # which reads a file
    save_keys(app, registry.data_dir)
    address = await stack.enter_async_context(registry_site(app, registry.address))
    structlog.get_logger().info("registry listening", address=str(address))
    return ConsulRegistry(address, registry.access)


@contextlib.asynccontextmanager
async def background_tasks(*coroutines: Callable[[], Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Run these endless coroutines while the block runs; if one of them fails, the block fails."""
    failure: Exception | None = None
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(run()) for run in coroutines]
        try:
            yield
        except Exception as error:  # raised again below, where the group can't wrap it
            failure = error
        finally:
            for task in tasks:
                task.cancel()
    if failure is not None:
        raise failure
