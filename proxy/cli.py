"""`tfleet proxy`."""

from __future__ import annotations

import asyncio
import sys

import click

from tfleet.discovery import log
from tfleet.discovery.contract import MAX_BODY_BYTES, PROXY_PORT
from tfleet.discovery.options import PORT, chosen_registry, log_format_option, registry_options
from tfleet.discovery.registry import StaticRegistry
from tfleet.proxy.app import MODES, Mode
from tfleet.proxy.forward import Limits
from tfleet.proxy.picker import BALANCES, Balance
from tfleet.proxy.service import CannotListenError, Settings, serve


@click.command(context_settings={"show_default": True})
@click.option("--host", default="127.0.0.1", help="Address to listen on; 0.0.0.0 for all.")
@click.option("--port", type=PORT, default=PROXY_PORT, help="0 is any free port.")
@click.option(
    "--mode",
    type=click.Choice(MODES),
    default="forward",
    help="forward: requests go through the proxy. p2p: it only says which worker to talk to.",
)
@registry_options
@click.option("--balance", type=click.Choice(BALANCES), default="round-robin", help="How a worker is chosen.")
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
    "--drain-timeout",
    "drain_timeout_s",
    type=click.FloatRange(min=0),
    default=30.0,
    help="Seconds that requests in flight get to finish after SIGTERM.",
)
@log_format_option
def proxy(
    *,
    host: str,
    port: int,
    mode: Mode,
    registry: str | None,
    registry_port: int,
    service: str,
    balance: Balance,
    max_body_bytes: int,
    timeout_s: float,
    drain_timeout_s: float,
    log_format: log.LogFormat,
) -> None:
    """Forward images to live workers, or tell clients which worker to talk to.

    \b
    Two terminals make a fleet:
      tfleet proxy
      tfleet worker
    With Consul:
      tfleet proxy --registry consul://127.0.0.1:8500
    """
    log.configure(log_format)
    workers = chosen_registry(registry, registry_port)
    if isinstance(workers, StaticRegistry) and not workers.addresses:
        raise click.UsageError("--registry static: names no worker: expected static:HOST:PORT,HOST:PORT")
    settings = Settings(
        host=host,
        port=port,
        mode=mode,
        balance=balance,
        registry=workers,
        service=service,
        limits=Limits(max_body_bytes, timeout_s),
        drain_timeout_s=drain_timeout_s,
    )
    try:
        asyncio.run(serve(settings))
    except CannotListenError as error:
        click.echo(f"tfleet proxy: {error}", err=True)
        sys.exit(2)
