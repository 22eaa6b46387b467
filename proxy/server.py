"""Sockets that an application answers on: the clients' and that of the embedded registry.

A running proxy: everything it owns, started and stopped in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import structlog
from aiohttp import web

from tfleet.contract.address import Address
from tfleet.contract.names import CLASSIFY_PATHS, LOOKUP_PATH
from tfleet.contract.ticket_keys import KeyFile
from tfleet.discovery.consul.health import WAIT_S, ConsulHealth
from tfleet.discovery.embedded import make_registry
from tfleet.discovery.instance import Instance
from tfleet.discovery.listing import ServiceList
from tfleet.discovery.registry import ConsulRegistry, Registry, StaticRegistry
from tfleet.discovery.watch import Watch
from tfleet.httpd.acceptor import open_door
from tfleet.httpd.admission import ClientLimits, Clients
from tfleet.httpd.connection import ClientConnection, Take, Takers
from tfleet.httpd.shutdown import last_answers
from tfleet.proxy.admin.app import Mode, make_app
from tfleet.proxy.admin.registry_metrics import MembershipMetrics, RegistryMetrics
from tfleet.proxy.admin.worker_metrics import WorkerMetricsPages
from tfleet.proxy.admin.workers import OwnReport, Report
from tfleet.proxy.balancing.health_check import Prober
from tfleet.proxy.balancing.model_names import ModelNames
from tfleet.proxy.balancing.policies import Balance
from tfleet.proxy.balancing.worker_table import WorkerTable
from tfleet.proxy.forwarding.forwarder import Forwarder
from tfleet.proxy.p2p.direct_response import DirectResponse
from tfleet.proxy.p2p.local_networks import NetworkView
from tfleet.proxy.p2p.lookup import Lookup
from tfleet.proxy.p2p.redirect import Redirect
from tfleet.proxy.readiness import Readiness
from tfleet.proxy.registration import ProxyRegistration
from tfleet.proxy.settings import RequestLimits
from tfleet.proxy.telemetry.access_log import AccessLog
from tfleet.proxy.telemetry.metrics import ProcessMetrics, ProxyMetrics
from tfleet.proxy.ticket_issuer import TicketIssuer
from tfleet.proxy.upstream.connection_pool import WorkerConnections
from tfleet.runtime.open_files import open_files_warning

# By then all that may finish has finished: what is left is broken off.
_SHUTDOWN_S: Final = 0.1


class CannotListenError(Exception):
    """An address is taken or not this machine's. The message is one line that names the option to change."""


@contextlib.asynccontextmanager
async def registry_site(app: web.Application, address: Address) -> AsyncIterator[Address]:
    """The embedded registry on a socket."""
    # handler_cancellation: a watcher that leaves gives up its blocking query at once.
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.0)
    await runner.setup()
    try:
        with refusals(address, "--registry-port"):
            await web.TCPSite(runner, address.host, address.port).start()
        yield Address(*runner.addresses[0][:2])
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def client_site(
    app: web.Application,
    address: Address,
    *,
    takers: Takers,
    clients: Clients,
    limits: ClientLimits,
    observer: AccessLog,
    readiness: Readiness,
    drain_timeout_s: float,
    shared_port: bool = False,
) -> AsyncIterator[Address]:
    """The proxy on a socket; at the end it stops accepting and lets requests finish.

    Processes that listen with `shared_port` may listen on the same one.
    """
    loop = asyncio.get_running_loop()
    # handler_cancellation: who has left waits for no answer.
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=_SHUTDOWN_S)
    await runner.setup()
    server = runner.server
    assert server is not None

    def connect() -> ClientConnection:
        return ClientConnection(
            server,
            loop=loop,
            takers=takers,
            clients=clients,
            limits=limits,
            observer=observer,
            readiness=readiness,
        )

    try:
        with refusals(address, "--port"):
            door = await open_door(address, connect, shared=shared_port)
        try:
            yield door.address
        finally:
            await door.close()
            await last_answers(server, drain_timeout_s)
    finally:
        await runner.cleanup()


@contextlib.contextmanager
def refusals(address: Address, option: str) -> Iterator[None]:
    """Raises CannotListenError for an OSError. `option` is what chose the address."""
    try:
        yield
    except OSError as error:
        # In the system's words: asyncio puts the address before them. A look-up that failed has no errno.
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        raise CannotListenError(f"can't listen on {address}: {reason}; see {option}") from error


# Shorter than a worker keeps an idle connection (see worker/wsgi/server.py), so that the proxy closes first.
_KEEP_ALIVE_S = 15.0


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """What the command line says. The address may have port 0, any free one. Without `ticket_keys` there are
    no tickets.
    """

    address: Address
    mode: Mode
    balance: Balance
    slow_start_s: float
    registry: Registry
    service: str
    ticket_keys: KeyFile | None
    advertise: Address | None
    limits: RequestLimits
    client_limits: ClientLimits
    drain_grace_s: float
    drain_timeout_s: float


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
        log_listening(settings, now.address)
        yield now.address
        readiness.drain()
        log_draining(now.fleet, now.clients)
        if registry is not None:
            await membership.leave()
        await asyncio.sleep(settings.drain_grace_s)


def log_listening(settings: ProxySettings, address: Address, **more: object) -> None:
    """Say that clients may come."""
    structlog.get_logger().info(
        "proxy listening", address=str(address), mode=settings.mode, registry=str(settings.registry), **more
    )


def log_draining(fleet: WorkerTable, clients: Clients) -> None:
    """Say what there is to finish."""
    in_flight = sum(fleet.in_flight(worker_id) for worker_id in fleet.pool.members)
    structlog.get_logger().info("proxy draining", in_flight=in_flight, connections=clients.served)


@dataclass(frozen=True, slots=True)
class Serving:
    """What serves, and the address that it serves at."""

    address: Address
    fleet: WorkerTable
    clients: Clients
    metrics: ProxyMetrics


@contextlib.asynccontextmanager
async def serving(
    settings: ProxySettings,
    registry: ConsulRegistry | None,
    readiness: Readiness,
    *,
    report: Report | None = None,
    known: Sequence[Instance] = (),
    shared_port: bool = False,
) -> AsyncIterator[Serving]:
    """Serves clients inside the block; after it, what was begun has been finished.

    `registry` is the one to ask, None where it is static. `report` is what its pages say where that
    is not its own. Workers that are `known` beforehand are served from the first client on.

    One task group owns the watch and the prober: if one of them dies, so does the block.
    """
    loop = asyncio.get_running_loop()
    fleet = WorkerTable(settings.balance, slow_start_s=settings.slow_start_s)
    clients = Clients(settings.client_limits.max_connections)
    metrics = ProxyMetrics(fleet, clients)
    metrics.include(ProcessMetrics(loop))
    observer = AccessLog(metrics, loop)
    async with contextlib.AsyncExitStack() as stack:
        connections = stack.enter_context(WorkerConnections(loop, _KEEP_ALIVE_S))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        prober = Prober(fleet, session)
        tickets = TicketIssuer(settings.ticket_keys, settings.service)
        view = NetworkView()
        await view.look()
        always = [prober.run, tickets.run, view.run]
        if isinstance(settings.registry, StaticRegistry):
            known = [Instance(str(address), address) for address in settings.registry.addresses]
        if known:
            fleet.synced(known)
            await prober.round()  # before anybody asks
        if registry is not None:
            health = ConsulHealth(registry.address, wait_s=WAIT_S, access=registry.access)
            stack.push_async_callback(health.close)
            hint = registry.access.reading(settings.service) if settings.registry == registry else ""
            names = ModelNames(settings.service)

            def called(roll: ServiceList) -> None:
                fleet.called(roll)
                names.called(roll)

            watch = Watch(health, settings.service, called, on_heard=fleet.heard, hint=hint)
            metrics.include(RegistryMetrics(watch, fleet))
            always.append(watch.run)
        await stack.enter_async_context(beside(*always))
        cors = settings.client_limits.cors
        forwarder = Forwarder(fleet, connections, settings.limits, metrics, observer, tickets, cors, loop)
        address = await stack.enter_async_context(
            client_site(
                make_app(
                    settings.mode,
                    fleet,
                    observer,
                    report or OwnReport(fleet, metrics),
                    WorkerMetricsPages(fleet, session),
                    readiness,
                    tickets,
                    cors,
                ),
                settings.address,
                takers=_takers(settings, fleet, tickets, view, observer, forwarder),
                clients=clients,
                limits=settings.client_limits,
                observer=observer,
                readiness=readiness,
                drain_timeout_s=settings.drain_timeout_s,
                shared_port=shared_port,
            )
        )
        yield Serving(address, fleet, clients, metrics)


def _takers(
    settings: ProxySettings,
    fleet: WorkerTable,
    tickets: TicketIssuer,
    view: NetworkView,
    observer: AccessLog,
    forwarder: Forwarder,
) -> Takers:
    """Who takes which requests, beside the pages."""
    mode, cors = settings.mode, settings.client_limits.cors
    lookup = DirectResponse(
        Lookup(fleet, tickets, view, forwards=mode == "forward").decide, observer, cors
    ).take
    redirect = DirectResponse(Redirect(fleet, tickets, view).decide, observer, cors).take
    image: Take = redirect if mode == "p2p" else forwarder.take
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
