"""The parent of several listeners: all that a proxy is once."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
from dataclasses import replace
from typing import Any, Final

import structlog

from tfleet.httpd.acceptor import listen_errors
from tfleet.proxy.admin.registry_metrics import MembershipMetrics
from tfleet.proxy.balancing.pool import WorkerState
from tfleet.proxy.multiprocess.messages import Drain, Registered, Start
from tfleet.proxy.multiprocess.shared_port import held, share
from tfleet.proxy.multiprocess.supervisor import ChildSupervisor
from tfleet.proxy.readiness import Readiness
from tfleet.proxy.registration import ProxyRegistration
from tfleet.proxy.server import ProxySettings, beside, consul_of, log_listening
from tfleet.runtime.cpus import usable_cpus
from tfleet.runtime.log import LogFormat, LogLevel

_SIGNALLED: Final = 128  # and the number of the signal, as a shell has it
_BEYOND_DRAIN_S: Final = 5.0
"""What a listener may take to end, besides its drain."""


class SharedReadiness(Readiness):
    """That of all listeners: what is said of it here is said to each of them."""

    def __init__(self, supervisor: ChildSupervisor) -> None:
        super().__init__()
        self._supervisor = supervisor

    def drain(self) -> None:
        super().drain()
        self._supervisor.send(Drain())

    def call(self, name: str) -> None:
        super().call(name)
        self._supervisor.send(Registered(name))


async def serve_together(
    settings: ProxySettings, count: int, log_format: LogFormat, log_level: LogLevel = "info"
) -> int:
    """Run until SIGTERM or SIGINT, then have all listeners finish what is in flight. Gives the exit code.

    A second signal ends the program, and all listeners, at once. Raises CannotListenError.
    """
    log: Any = structlog.get_logger()
    if crowded := crowding(count, usable_cpus()):
        log.warning(crowded)
    supervisor = ChildSupervisor(count)
    readiness = SharedReadiness(supervisor)
    _on_signals(supervisor)
    async with contextlib.AsyncExitStack() as stack:
        with listen_errors(settings.address, "--port"):
            address = await stack.enter_async_context(held(settings.address))
        registry = await consul_of(stack, settings.registry)

        def start_message(number: int) -> Start:
            # A worker that drains, or is in maintenance, is nothing for a listener to start with.
            known = tuple(row.instance for row in supervisor.known if row.state is not WorkerState.DRAINING)
            keys = settings.ticket_keys
            own = replace(share(settings, number, count, address), ticket_keys=None)
            state = None if keys is None else keys.state
            return Start(number, own, state, registry, known, readiness.name, log_format, log_level)

        await stack.enter_async_context(supervisor.running(start_message))
        membership = None
        if await supervisor.listening():
            log_listening(settings, supervisor.address, listeners=count)
            if registry is not None:
                membership = ProxyRegistration(registry, settings.service, settings.advertise)
                supervisor.own.register(MembershipMetrics(membership))
                stack.push_async_callback(membership.leave)
                address, first_ready = supervisor.address, supervisor.first_ready
                join = functools.partial(membership.join, address, readiness, first_ready)
                await stack.enter_async_context(beside(join))
            await supervisor.stop_asked.wait()
        readiness.drain()
        log.info("proxy draining", listeners=count)
        if membership is not None:
            await membership.leave()
        await supervisor.stop(settings.drain_grace_s + settings.drain_timeout_s + _BEYOND_DRAIN_S)
    return supervisor.code


def crowding(count: int, cpus: int) -> str | None:
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
