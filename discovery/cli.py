"""`tfleet registry`: the embedded registry as a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import click
import structlog
from aiohttp import web

from tfleet.contract.address import Address
from tfleet.contract.names import REGISTRY_PORT
from tfleet.discovery.consul.access import BadAccessError
from tfleet.discovery.data_folder import data_folder
from tfleet.discovery.embedded import KeyValueFileError, make_registry, save_keys
from tfleet.discovery.options import (
    log_format_option,
    log_level_option,
    registry_data_dir_option,
    registry_token_file_option,
)
from tfleet.discovery.registry import EmbeddedRegistry
from tfleet.runtime import log

_MAX_PORT = 65535
_SHUTDOWN_TIMEOUT_S = 2.0
"""For responses in progress. Blocking queries end at once."""


class RegistryStartError(click.ClickException):
    """The address or the file of the keys can't be used: one line, and the exit code of a usage error."""

    exit_code = 2


@click.command()
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    show_envvar=True,
    help="Address to listen on. Without --registry-token-file use only loopback or a trusted network.",
)
@click.option(
    "--port",
    type=click.IntRange(0, _MAX_PORT),
    default=REGISTRY_PORT,
    show_default=True,
    show_envvar=True,
    help="0 is any free port; the log says which.",
)
@click.option(
    "--allow-host",
    multiple=True,
    metavar="NAME",
    show_envvar=True,
    help="A public host name under which clients reach the registry. Requests with other public host names "
    "are rejected, because a web page may have sent them (DNS rebinding).",
)
@registry_token_file_option
@registry_data_dir_option
@log_format_option
@log_level_option
def registry(
    host: str,
    port: int,
    allow_host: tuple[str, ...],
    registry_token_file: Path | None,
    registry_data_dir: str | None,
    log_format: log.LogFormat,
    log_level: log.LogLevel,
) -> None:
    """Keep the list of live workers without a Consul.

    It implements the part of Consul's HTTP API that a fleet uses, in one process. `tfleet
    proxy` and `tfleet up` start one by themselves; start it separately if the list should outlive the
    proxy:

    \b
      tfleet registry
      tfleet proxy  --registry consul://127.0.0.1:12481
      tfleet worker --registry consul://127.0.0.1:12481

    After a restart the workers register again within seconds. Keys and values, such as the plans of models,
    are saved in --registry-data-dir. Consul's own tools can read it:

    \b
      consul catalog services -http-addr=127.0.0.1:12481
      curl -s '127.0.0.1:12481/v1/health/service/tfleet?passing'
    """
    log.configure(log_format, level=log_level)
    own = EmbeddedRegistry(Address(host, port), registry_token_file)
    try:
        app = make_registry(names=(host, *allow_host), access=own.access)
    except BadAccessError as error:
        raise click.UsageError(str(error)) from error
    save_keys(app, data_folder(registry_data_dir, port))
    asyncio.run(_serve(host, port, app))


def _reason(error: OSError) -> str:
    """Return the system's error text: asyncio puts the address before it. A failed name lookup has
    no errno.
    """
    return os.strerror(error.errno) if error.errno is not None and error.errno > 0 else str(error.strerror)


@contextlib.contextmanager
def _start_errors(host: str, port: int) -> Iterator[None]:
    """Raises RegistryStartError."""
    try:
        yield
    except KeyValueFileError as error:
        raise RegistryStartError(str(error)) from error
    except OSError as error:
        raise RegistryStartError(f"cannot listen on {host}:{port}: {_reason(error)}") from error


async def _serve(host: str, port: int, app: web.Application) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    runner = web.AppRunner(
        app, access_log=None, handler_cancellation=True, shutdown_timeout=_SHUTDOWN_TIMEOUT_S
    )
    try:
        with _start_errors(host, port):
            await runner.setup()
            await web.TCPSite(runner, host, port).start()
        name, real_port = runner.addresses[0][:2]
        structlog.get_logger().info("registry listening", address=str(Address(name, real_port)))
        await stop.wait()
    finally:
        await runner.cleanup()
