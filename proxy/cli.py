"""`tfleet proxy`."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import click
import uvloop

from tfleet.contract.address import LOCALHOST, Address
from tfleet.contract.cors import Cors
from tfleet.contract.names import MAX_BODY_BYTES, PROXY_PORT
from tfleet.contract.ticket_keys import BadKeyFileError, KeyFile
from tfleet.discovery.options import (
    PORT,
    admin_port_option,
    advertise_option,
    chosen_registry,
    cors_origin_option,
    log_format_option,
    log_level_option,
    options_as,
    registry_options,
    ticket_key_file_option,
)
from tfleet.discovery.registry import StaticRegistry
from tfleet.httpd.admission import ConnectionLimits
from tfleet.httpd.listen import CannotListenError
from tfleet.proxy.multiprocess.parent import serve_together
from tfleet.proxy.server import run_proxy
from tfleet.proxy.settings import BALANCES, MODES, SLOW_START_S, Balance, Mode, ProxySettings, RequestLimits
from tfleet.runtime import log


@dataclass(frozen=True, slots=True)
class ProxyOptions:
    """The options that are not limits, as given on the command line."""

    host: str
    port: int
    admin_port: int | None
    mode: Mode
    advertise: Address | None
    registry: str | None
    registry_port: int
    registry_token_file: Path | None
    service: str
    ticket_key_file: Path | None
    cors_origins: tuple[str, ...]
    balance: Balance
    slow_start_s: float
    drain_grace_s: float
    drain_timeout_s: float


@click.command(context_settings={"show_default": True})
@click.option(
    "--host",
    default=LOCALHOST,
    help="Address to listen on; localhost is 127.0.0.1 and ::1, 0.0.0.0 is every interface.",
)
@click.option("--port", type=PORT, default=PROXY_PORT, help="Port to listen on; 0 is any free port.")
@admin_port_option
@click.option(
    "--listeners",
    type=click.IntRange(min=1),
    default=1,
    help="Processes that listen on the port, to use as many CPUs. The limits are divided among them.",
)
@click.option(
    "--mode",
    type=click.Choice(MODES),
    default="forward",
    help="forward: requests go through the proxy. p2p: the proxy only tells clients which worker to use.",
)
@advertise_option
@registry_options
@ticket_key_file_option
@cors_origin_option
@click.option("--balance", type=click.Choice(BALANCES), default="round-robin", help="Load-balancing policy.")
@click.option(
    "--slow-start",
    "slow_start_s",
    type=click.FloatRange(min=0),
    default=SLOW_START_S,
    help="Seconds in which the share of a worker that joins a busy fleet grows from a tenth to all of it.",
)
@click.option(
    "--max-body-bytes",
    type=click.IntRange(min=1),
    default=MAX_BODY_BYTES,
    help="Largest request body in bytes; a larger one gets 413.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    help="Time limit of a request in seconds; beyond it 504.",
)
@click.option(
    "--try-timeout",
    "try_timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    help="Seconds without progress after which another worker is tried.",
)
@click.option(
    "--client-timeout",
    "client_timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    help="Seconds within a request without progress of the client; beyond it 408.",
)
@click.option(
    "--replay-bytes",
    type=click.IntRange(min=0),
    default=4 * 1024 * 1024,
    help="Largest body in bytes that is kept for retries; a larger one is sent only once.",
)
@click.option(
    "--replay-total-bytes",
    type=click.IntRange(min=0),
    default=128 * 1024 * 1024,
    help="Limit in bytes for all bodies kept for retries together.",
)
@click.option(
    "--retry-share",
    type=click.FloatRange(0, 1),
    default=0.2,
    help="Retry budget: retries as a share of the requests of the last ten seconds.",
)
@click.option(
    "--retry-floor",
    "retry_floor_per_s",
    type=click.FloatRange(min=0),
    default=10.0,
    help="Retry budget: retries a second that are always allowed.",
)
@click.option(
    "--max-connections",
    type=click.IntRange(min=1),
    default=4096,
    help="Limit of client connections; beyond it 503.",
)
@click.option(
    "--header-timeout",
    "header_timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    help="Time limit for the head of a request in seconds; beyond it 408.",
)
@click.option(
    "--idle-timeout",
    "idle_timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    default=75.0,
    help="Seconds that an idle connection is kept open.",
)
@click.option(
    "--drain-grace",
    "drain_grace_s",
    type=click.FloatRange(min=0),
    default=1.0,
    help="Seconds after SIGTERM in which new requests are still answered, with `Connection: close`.",
)
@click.option(
    "--drain-timeout",
    "drain_timeout_s",
    type=click.FloatRange(min=0),
    default=30.0,
    help="Time limit for requests in flight after SIGTERM, in seconds.",
)
@log_format_option
@log_level_option
@options_as(RequestLimits, "limits")
@options_as(ConnectionLimits, "client_limits")
@options_as(ProxyOptions, "options")
def proxy(
    *,
    options: ProxyOptions,
    limits: RequestLimits,
    client_limits: ConnectionLimits,
    listeners: int,
    log_format: log.LogFormat,
    log_level: log.LogLevel,
) -> None:
    """Forward images to live workers, or tell clients which worker to talk to.

    \b
    Two terminals make a fleet:
      tfleet proxy
      tfleet worker
    With Consul, where it registers itself as NAME-proxy, so that several can be found:
      tfleet proxy --registry consul://127.0.0.1:8500
    """
    log.configure(log_format, level=log_level)
    if client_limits.max_connections < listeners:
        raise click.UsageError(
            f"--max-connections {client_limits.max_connections} is less than --listeners {listeners}: "
            "each listener needs at least one"
        )
    try:
        settings = _settings(options, limits, client_limits)
        if listeners == 1:
            uvloop.run(run_proxy(settings))
        else:
            sys.exit(uvloop.run(serve_together(settings, listeners, log_format, log_level)))
    except (CannotListenError, BadKeyFileError) as error:
        click.echo(f"tfleet proxy: {error}", err=True)
        sys.exit(2)


def _settings(options: ProxyOptions, limits: RequestLimits, client_limits: ConnectionLimits) -> ProxySettings:
    """Check the options together, and read the files that they name. Raises BadKeyFileError."""
    registry = chosen_registry(options.registry, options.registry_port, options.registry_token_file)
    if isinstance(registry, StaticRegistry) and not registry.addresses:
        raise click.UsageError("--registry static: names no worker: expected static:HOST:PORT,HOST:PORT")
    if options.admin_port and options.admin_port == options.port:
        raise click.UsageError(f"--admin-port {options.admin_port} is --port, too: choose another one")
    return ProxySettings(
        address=Address(options.host, options.port),
        admin=None if options.admin_port is None else Address(options.host, options.admin_port),
        mode=options.mode,
        balance=options.balance,
        slow_start_s=options.slow_start_s,
        registry=registry,
        service=options.service,
        advertise=options.advertise,
        ticket_keys=KeyFile(options.ticket_key_file) if options.ticket_key_file else None,
        limits=limits,
        client_limits=replace(client_limits, idle_give_way=True),
        cors=Cors.parse(options.cors_origins),
        drain_grace_s=options.drain_grace_s,
        drain_timeout_s=options.drain_timeout_s,
    )
