"""`tfleet up`."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import click

from tfleet.deploy.announce import photo, program, silent_registry
from tfleet.deploy.console import Console
from tfleet.deploy.fleet import LOOPBACK, Fleet
from tfleet.deploy.ports import PortTakenError, free_ports
from tfleet.deploy.reach import reachable
from tfleet.deploy.refusal import RefusedError
from tfleet.deploy.up import run_fleet
from tfleet.discovery.address import Address
from tfleet.discovery.contract import PROXY_PORT
from tfleet.discovery.cpus import usable_cpus
from tfleet.discovery.key_file import BadKeyFileError, read_keys
from tfleet.discovery.log import LogFormat
from tfleet.discovery.options import (
    PORT,
    chosen_registry,
    log_format_option,
    registry_options,
    ticket_key_file_option,
)
from tfleet.discovery.registry import ConsulRegistry, EmbeddedRegistry, StaticRegistry
from tfleet.proxy.app import MODES, Mode


@click.command(context_settings={"show_default": True})
@click.option("--workers", type=click.IntRange(min=1), default=2, help="How many workers to start.")
@click.option("--port", type=PORT, default=PROXY_PORT, help="Where the proxy listens; 0 is any free port.")
@click.option("--listeners", type=click.IntRange(min=1), default=1, help="As for `tfleet proxy`.")
@click.option(
    "--mode",
    type=click.Choice(MODES),
    default="forward",
    help="forward: requests go through the proxy. p2p: it only says which worker to talk to.",
)
@click.option(
    "--model",
    metavar="PATH",
    help="As for `tfleet worker`.  [default: EfficientNet-Lite0]",
)
@registry_options
@ticket_key_file_option
@click.option(
    "--drain-timeout",
    "drain_timeout_s",
    type=click.FloatRange(min=0),
    default=20.0,
    help="Seconds that requests in flight get to finish when the fleet stops.",
)
@log_format_option
def up(
    *,
    workers: int,
    port: int,
    listeners: int,
    mode: Mode,
    model: str | None,
    registry: str | None,
    registry_port: int,
    service: str,
    ticket_key_file: Path | None,
    drain_timeout_s: float,
    log_format: LogFormat,
) -> None:
    """Start a whole fleet on this machine: registry, proxy and workers.

    A process that dies is started again. Ctrl-C stops them all: the proxy finishes what it has, then each
    worker leaves the registry and does the same, then the registry stops; a second Ctrl-C kills what is left.

    \b
      tfleet up
      tfleet up --workers 4 --mode p2p --port 8080
      tfleet up --model models/flowers/3 --registry consul://127.0.0.1:8500

    The workers share the CPUs; TFLEET_CPUS is how many each of them computes on instead. The other options of
    worker and proxy go through the environment, too:

    \b
      TFLEET_LABELS=output_labels.txt tfleet up --model output_graph.pb
    """
    chosen = chosen_registry(registry, registry_port)
    if isinstance(chosen, StaticRegistry):
        raise RefusedError(
            f"--registry {chosen}: nobody registers in a static list, so the workers that `tfleet up` starts "
            "would never be found; use `tfleet proxy` with it, or --registry embedded"
        )
    if ticket_key_file:
        _check(ticket_key_file)
    proxy, chosen = _claim(port, chosen)
    fleet = Fleet(
        proxy=proxy,
        mode=mode,
        workers=workers,
        registry=chosen,
        service=service,
        ticket_key_file=ticket_key_file,
        model=model,
        log_format=_log_format(log_format),
        drain_timeout_s=drain_timeout_s,
        listeners=listeners,
    )
    console = Console(out=sys.stdout, err=sys.stderr, width=max(len("registry"), len(f"worker-{workers}")))
    if isinstance(chosen, ConsulRegistry) and not reachable(chosen.address):
        console.say(silent_registry(chosen))
    here = Path.cwd()
    environ = fleet.child_environ(os.environ, usable_cpus())
    running = run_fleet(fleet, console, environ, image=photo(here), tfleet=program(sys.argv[0], here))
    sys.exit(asyncio.run(running))


def _claim(
    port: int, registry: ConsulRegistry | EmbeddedRegistry
) -> tuple[Address, ConsulRegistry | EmbeddedRegistry]:
    """The proxy's address and the registry with real ports, all free before anything is started."""
    wanted = {"--port": port}
    if isinstance(registry, EmbeddedRegistry):
        wanted["--registry-port"] = registry.address.port
    try:
        ports = free_ports(wanted, host=LOOPBACK)
    except PortTakenError as error:
        raise RefusedError(str(error)) from error
    if isinstance(registry, EmbeddedRegistry):
        registry = EmbeddedRegistry(Address(LOOPBACK, ports["--registry-port"]))
    return Address(LOOPBACK, ports["--port"]), registry


def _check(ticket_key_file: Path) -> None:
    """Find out here, and not from each of the processes, that they could not read it."""
    try:
        read_keys(ticket_key_file)
    except BadKeyFileError as error:
        raise RefusedError(str(error)) from error


def _log_format(chosen: LogFormat) -> LogFormat:
    """The children write into a pipe: whether a person reads it is known only here."""
    if chosen != "auto":
        return chosen
    return "console" if sys.stderr.isatty() else "json"
