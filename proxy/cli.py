"""`tfleet proxy`."""

from __future__ import annotations

import sys
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
    registry_options,
    ticket_key_file_option,
)
from tfleet.discovery.registry import StaticRegistry
from tfleet.httpd.acceptor import CannotListenError
from tfleet.httpd.admission import ConnectionLimits
from tfleet.proxy.multiprocess.parent import serve_together
from tfleet.proxy.server import serve
from tfleet.proxy.settings import BALANCES, MODES, SLOW_START_S, Balance, Mode, ProxySettings, RequestLimits
from tfleet.runtime import log


@click.command(context_settings={"show_default": True})
@click.option(
    "--host", default=LOCALHOST, help="Address to listen on; localhost is 127.0.0.1 and ::1, 0.0.0.0 for all."
)
@click.option("--port", type=PORT, default=PROXY_PORT, help="0 is any free port.")
@admin_port_option
@click.option(
    "--listeners",
    type=click.IntRange(min=1),
    default=1,
    help="Processes that listen on the port, for as many CPUs. What all clients may take is shared out.",
)
@click.option(
    "--mode",
    type=click.Choice(MODES),
    default="forward",
    help="forward: requests go through the proxy. p2p: it only says which worker to talk to.",
)
@advertise_option
@registry_options
@ticket_key_file_option
@cors_origin_option
@click.option("--balance", type=click.Choice(BALANCES), default="round-robin", help="How a worker is chosen.")
@click.option(
    "--slow-start",
    "slow_start_s",
    type=click.FloatRange(min=0),
    default=SLOW_START_S,
    help="Seconds in which a worker that came to a fleet at work gets from a tenth to all of its share.",
)
@click.option(
    "--max-body-bytes",
    type=click.IntRange(min=1),
    default=MAX_BODY_BYTES,
    help="Largest body; beyond it 413.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    help="Seconds for one request; beyond it 504.",
)
@click.option(
    "--try-timeout",
    "try_timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    help="Seconds without progress after which a worker is given up and another one tried.",
)
@click.option(
    "--replay-bytes",
    type=click.IntRange(min=0),
    default=4 * 1024 * 1024,
    help="Largest body that is kept to be sent again; a larger one is sent once.",
)
@click.option(
    "--replay-total-bytes",
    type=click.IntRange(min=0),
    default=128 * 1024 * 1024,
    help="What may be kept of all bodies in flight together.",
)
@click.option(
    "--retry-share",
    type=click.FloatRange(0, 1),
    default=0.2,
    help="Retries allowed, as a share of the requests of the last ten seconds.",
)
@click.option(
    "--retry-floor",
    "retry_floor_per_s",
    type=click.FloatRange(min=0),
    default=10.0,
    help="Retries a second that are allowed however few requests there are.",
)
@click.option(
    "--max-connections",
    type=click.IntRange(min=1),
    default=4096,
    help="Clients that may be connected at once; beyond it 503.",
)
@click.option(
    "--header-timeout",
    "header_timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    help="Seconds that a client may take for the head of a request; beyond it 408.",
)
@click.option(
    "--client-timeout",
    "client_timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    help="Seconds within a request in which a client neither sends nor takes a byte; beyond it 408.",
)
@click.option(
    "--idle-timeout",
    "idle_timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    default=75.0,
    help="Seconds that a connection is kept between two requests.",
)
@click.option(
    "--drain-grace",
    "drain_grace_s",
    type=click.FloatRange(min=0),
    default=1.0,
    help="Seconds after SIGTERM in which everybody is still answered, and told to connect elsewhere.",
)
@click.option(
    "--drain-timeout",
    "drain_timeout_s",
    type=click.FloatRange(min=0),
    default=30.0,
    help="Seconds that requests in flight get to finish after SIGTERM.",
)
@log_format_option
@log_level_option
def proxy(
    *,
    host: str,
    port: int,
    admin_port: int | None,
    listeners: int,
    mode: Mode,
    advertise: Address | None,
    registry: str | None,
    registry_port: int,
    registry_token_file: Path | None,
    service: str,
    ticket_key_file: Path | None,
    cors_origins: tuple[str, ...],
    balance: Balance,
    slow_start_s: float,
    max_body_bytes: int,
    timeout_s: float,
    try_timeout_s: float,
    replay_bytes: int,
    replay_total_bytes: int,
    retry_share: float,
    retry_floor_per_s: float,
    max_connections: int,
    header_timeout_s: float,
    client_timeout_s: float,
    idle_timeout_s: float,
    drain_grace_s: float,
    drain_timeout_s: float,
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
    workers = chosen_registry(registry, registry_port, registry_token_file)
    if isinstance(workers, StaticRegistry) and not workers.addresses:
        raise click.UsageError("--registry static: names no worker: expected static:HOST:PORT,HOST:PORT")
    if admin_port and admin_port == port:
        raise click.UsageError(f"--admin-port {admin_port} is --port, too: choose another one")
    if max_connections < listeners:
        raise click.UsageError(
            f"--max-connections {max_connections} can't be shared out among --listeners {listeners}"
        )
    try:
        settings = ProxySettings(
            address=Address(host, port),
            admin=None if admin_port is None else Address(host, admin_port),
            mode=mode,
            balance=balance,
            slow_start_s=slow_start_s,
            registry=workers,
            service=service,
            advertise=advertise,
            ticket_keys=KeyFile(ticket_key_file) if ticket_key_file else None,
            limits=RequestLimits(
                max_body_bytes=max_body_bytes,
                timeout_s=timeout_s,
                try_timeout_s=try_timeout_s,
                client_timeout_s=client_timeout_s,
                replay_bytes=replay_bytes,
                replay_total_bytes=replay_total_bytes,
                retry_share=retry_share,
                retry_floor_per_s=retry_floor_per_s,
            ),
            client_limits=ConnectionLimits(
                max_connections=max_connections,
                header_timeout_s=header_timeout_s,
                idle_timeout_s=idle_timeout_s,
            ),
            cors=Cors.parse(cors_origins),
            drain_grace_s=drain_grace_s,
            drain_timeout_s=drain_timeout_s,
        )
        if listeners == 1:
            uvloop.run(serve(settings))
        else:
            sys.exit(uvloop.run(serve_together(settings, listeners, log_format, log_level)))
    except (CannotListenError, BadKeyFileError) as error:
        click.echo(f"tfleet proxy: {error}", err=True)
        sys.exit(2)
