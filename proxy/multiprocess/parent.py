"""The parent process of several listeners: what a proxy has only once, such as its pages."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import aiohttp
import structlog

from tfleet.contract.address import Address
from tfleet.discovery.plan_watch import UNREAD, Plans
from tfleet.httpd.listen import listen_errors
from tfleet.proxy.admin.page_sources import PageSources
from tfleet.proxy.admin.registry_metrics import ProxyRegistrationMetrics
from tfleet.proxy.admin.serving import serving_pages
from tfleet.proxy.balancing.member import WorkerState
from tfleet.proxy.balancing.worker_collector import WorkerCollector
from tfleet.proxy.balancing.worker_table import WorkerTable
from tfleet.proxy.multiprocess.messages import Drain, KnownFleet, Registered, Start
from tfleet.proxy.multiprocess.shared_port import reserved_port
from tfleet.proxy.multiprocess.supervisor import AggregateStatus, ChildSupervisor
from tfleet.proxy.readiness import Readiness
from tfleet.proxy.registration import ProxyRegistration
from tfleet.proxy.registry_watches import plan_watch
from tfleet.proxy.server import KEEP_ALIVE_S, background_tasks, consul_of, log_listening
from tfleet.proxy.settings import ProxySettings, settings_of_listener
from tfleet.proxy.telemetry.access_log import AccessLog
from tfleet.proxy.telemetry.metrics import ProcessMetrics, ProxyMetrics
from tfleet.proxy.ticket_issuer import TicketIssuer
from tfleet.proxy.upstream.connection_pool import WorkerConnections
from tfleet.runtime.cpus import usable_cpus
from tfleet.runtime.log import LogSettings

_SIGNALLED: Final = 128  # and the number of the signal, as a shell has it
_BEYOND_DRAIN_S: Final = 5.0
"""How long a listener may take to exit after its drain."""


class SharedReadiness(Readiness):
    """The readiness of all listeners: what is set here is sent to each of them."""

    def __init__(self, supervisor: ChildSupervisor) -> None:
        super().__init__()
        self._supervisor = supervisor

    def drain(self) -> None:
        super().drain()
        self._supervisor.send(Drain())

    def set_name(self, name: str) -> None:
        super().set_name(name)
        self._supervisor.send(Registered(name))


class _LatestPlans:
    """The plans as they were found last; `known` is None until they have been read."""

    def __init__(self, supervisor: ChildSupervisor) -> None:
        self.known: Plans | None = None
        self._supervisor = supervisor

    @property
    def now(self) -> Plans:
        return self.known or UNREAD

    def use(self, plans: Plans) -> None:
        self.known = plans
        self._supervisor.use_plans(plans)


async def serve_together(settings: ProxySettings, count: int, logs: LogSettings) -> int:
    """Run until SIGTERM or SIGINT, then have all listeners finish what is in flight. Returns the exit code.

    A second signal ends the program, and all listeners, at once. Raises CannotListenError and
    KeyValueFileError.
    """
    log: Any = structlog.get_logger()
    if crowded := too_many_listeners(count, usable_cpus()):
        log.warning("there are more listeners than CPUs", why=crowded)
    loop, discovery = asyncio.get_running_loop(), settings.discovery
    own = ProxyMetrics()
    own.include(WorkerCollector(WorkerTable(settings.balancing.balance)))
    own.include(ProcessMetrics(loop))
    supervisor = ChildSupervisor(count, own)
    readiness = SharedReadiness(supervisor)
    _on_signals(supervisor)
    async with contextlib.AsyncExitStack() as stack:
        with listen_errors(settings.listen.address, "--port"):
            address = await stack.enter_async_context(reserved_port(settings.listen.address))
        plans = _LatestPlans(supervisor)
        served = _serving_pages(settings, supervisor, readiness, own, plans)
        pages, admin = await stack.enter_async_context(served)
        registry = await consul_of(stack, discovery.registry)
        if registry is not None:  # for the pages: each listener follows the plans by itself
            watch = plan_watch(stack, discovery, registry, plans.use)
            await stack.enter_async_context(background_tasks(watch.run))

        def start_message(number: int) -> Start:
            # A listener does not start with a worker that drains or is in maintenance.
            others = (row.instance for row in supervisor.known if row.state is not WorkerState.DRAINING)
            known = KnownFleet(tuple(others), plans.known)
            keys = settings.ticket_keys
            own = replace(settings_of_listener(settings, number, count, address), ticket_keys=None)
            state = None if keys is None else keys.state
            return Start(number, own, state, registry, known, pages, readiness.name, logs)

        await stack.enter_async_context(supervisor.running(start_message))
        registration = None
        if await supervisor.listening():
            log_listening(settings, supervisor.address, admin, listeners=count)
            if registry is not None:
                registration = ProxyRegistration(registry, discovery.service, discovery.advertise)
                own.include(ProxyRegistrationMetrics(registration))
                stack.push_async_callback(registration.leave)
                first_ready = supervisor.first_ready
                join = functools.partial(registration.join, supervisor.address, readiness, first_ready)
                await stack.enter_async_context(background_tasks(join))
            await supervisor.stop_asked.wait()
        readiness.drain()
        log.info("proxy draining", listeners=count)
        if registration is not None:
            await registration.leave()
        await supervisor.stop(settings.drain.grace_s + settings.drain.timeout_s + _BEYOND_DRAIN_S)
    return supervisor.code


@contextlib.asynccontextmanager
async def _serving_pages(
    settings: ProxySettings,
    supervisor: ChildSupervisor,
    readiness: Readiness,
    own: ProxyMetrics,
    plans: _LatestPlans,
) -> AsyncIterator[tuple[Path, Address | None]]:
    """Serve the pages of all listeners: see serving_pages in admin/serving.py."""
    loop = asyncio.get_running_loop()
    status, tickets = (
        AggregateStatus(supervisor, readiness),
        TicketIssuer(settings.ticket_keys, settings.discovery.service),
    )
    async with contextlib.AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        connections = stack.enter_context(WorkerConnections(loop, KEEP_ALIVE_S))
        await stack.enter_async_context(background_tasks(tickets.run))
        sources = PageSources(status, session, tickets, lambda: plans.now, jobs=settings.jobs is not None)
        access_log = AccessLog(own, loop)
        yield await stack.enter_async_context(
            serving_pages(settings, sources, connections, access_log, readiness)
        )


def too_many_listeners(count: int, cpus: int) -> str | None:
    """Why so many listeners are too many for these CPUs, in one line, or None."""
    if count <= cpus:
        return None
    return (
        f"--listeners {count} and only {cpus} to use of the CPUs: more than one each serve no more requests"
    )


def _on_signals(supervisor: ChildSupervisor) -> None:
    def arrived(number: signal.Signals) -> None:
        if supervisor.stop_asked.is_set():
            supervisor.kill()
            os._exit(_SIGNALLED + number)
        supervisor.ask_to_stop()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, arrived, number)
