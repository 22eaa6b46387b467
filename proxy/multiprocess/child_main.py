"""One listener: a process that serves clients as a proxy of one process does."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from dataclasses import replace

import click
import structlog
import uvloop

from tfleet.contract.ticket_keys import KeyFile
from tfleet.httpd.listen import CannotListenError
from tfleet.proxy.multiprocess.messages import MAX_MESSAGE_BYTES, Listening, Ready, Start, receive
from tfleet.proxy.multiprocess.parent_link import ParentLink
from tfleet.proxy.readiness import Readiness
from tfleet.proxy.server import ServingProxy, background_tasks, log_draining, serve_clients
from tfleet.runtime import log
from tfleet.runtime.open_files import open_files_warning

_CONTROL = 0
"""Its standard input is the socket to its parent."""


def main() -> None:
    """Serve until SIGTERM, or until the parent is gone; then finish what is in flight."""
    with socket.socket(fileno=os.dup(_CONTROL)) as control:
        try:
            uvloop.run(_listen(control))
        except CannotListenError as error:
            click.echo(f"tfleet proxy: {error}", err=True)
            sys.exit(2)


async def _listen(control: socket.socket) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    control.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=control, limit=MAX_MESSAGE_BYTES)
    try:
        start = await receive(reader)
        if start is not None:
            assert isinstance(start, Start)
            await _serve(start, ParentLink(reader, writer, readiness := Readiness()), readiness, stop)
    finally:
        writer.close()


async def _serve(start: Start, link: ParentLink, readiness: Readiness, stop: asyncio.Event) -> None:
    log.configure(start.logs.format, level=start.logs.level)
    structlog.contextvars.bind_contextvars(listener=start.number)
    readiness.set_name(start.name)
    settings = start.settings
    if start.ticket_keys is not None:
        keys = KeyFile(start.ticket_keys.path, state=start.ticket_keys)
        keys.current()  # the parent read it when it started
        settings = replace(settings, ticket_keys=keys)
    if missing := open_files_warning(settings.listen.limits.max_connections):
        structlog.get_logger().warning("the limit of open files is too low", why=missing)

    async def hear() -> None:
        await link.run()
        structlog.get_logger().warning("the proxy's parent process is gone: this listener ends")
        stop.set()

    async with background_tasks(hear):
        async with serve_clients(
            settings,
            start.registry,
            readiness,
            pages=start.pages,
            known=start.known.workers,
            plans=start.known.plans,
            shared_port=True,
        ) as proxy:
            link.serving = proxy
            link.send(Listening(proxy.address))
            async with background_tasks(lambda: _say_ready(proxy, link)):
                await stop.wait()
            readiness.drain()
            log_draining(proxy.workers, proxy.clients)
            await asyncio.sleep(settings.drain.grace_s)
        await link.report()  # the last report, with everything that was counted


async def _say_ready(proxy: ServingProxy, link: ParentLink) -> None:
    await proxy.workers.first_ready.wait()
    link.send(Ready())
