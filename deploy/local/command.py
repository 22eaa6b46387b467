"""Options that one command has from another one, and passes on to it.

`tfleet up`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from tfleet.contract.address import LOCALHOST, Address
from tfleet.contract.names import PROXY_PORT
from tfleet.contract.ticket_keys import BadKeyFileError, read_keys
from tfleet.deploy.errors import CommandRefusedError
from tfleet.deploy.lazy_commands import STRANGERS
from tfleet.deploy.local.messages import photo, program, silent_registry
from tfleet.deploy.local.plan import LOOPBACK, FleetPlan
from tfleet.deploy.local.ports import PortTakenError, free_ports, reachable
from tfleet.deploy.local.run import run_fleet
from tfleet.deploy.local.terminal import Console
from tfleet.discovery.options import (
    PORT,
    admin_port_option,
    chosen_registry,
    log_format_option,
    log_level_option,
    registry_options,
    ticket_key_file_option,
)
from tfleet.discovery.registry import ConsulRegistry, EmbeddedRegistry, StaticRegistry
from tfleet.proxy.settings import MODES, Mode
from tfleet.runtime.cpus import usable_cpus
from tfleet.runtime.log import LogFormat, LogLevel
from tfleet.worker.model import ModelError, find_model
from tfleet.worker.options import model_options, work_options


def passed_on(ctx: click.Context, names: Collection[str]) -> tuple[str, ...]:
    """The options of these names that the command line says, as another command line has them.

    What the environment says is not among them: the other command sees it, too.
    """
    said = (
        option
        for option in ctx.command.params
        if isinstance(option, click.Option)
        and option.name in names
        and ctx.get_parameter_source(option.name) is ParameterSource.COMMANDLINE
    )
    return tuple(argument for option in said for argument in _arguments(option, ctx.params[str(option.name)]))


def _arguments(option: click.Option, value: Any) -> Iterator[str]:
    flag = max(option.opts, key=len)
    if option.is_flag:
        yield flag if value else max(option.secondary_opts, key=len)
        return
    for each in value if option.multiple else (value,):
        yield from (flag, str(each))


_IMPORTED_LATE = ("flask", "multipart", "PIL", "tensorflow", "uvloop")
_OF_BARE_GRAPHS = ("labels", "input_layer", "output_layer", "input_size", "input_mean", "input_std")
_OF_PROXY_TOO = {"max_body_bytes", "cors_origins", "drain_grace_s"}
"""What the proxy has under the same name, and means as much for it."""


@click.command(context_settings={"show_default": True})
@click.option("--workers", type=click.IntRange(min=1), default=2, help="How many workers to start.")
@click.option(
    "--host",
    default=LOCALHOST,
    help="Where the proxy listens, and with --mode p2p the workers, too; localhost is this machine only, "
    "0.0.0.0 is for all.",
)
@click.option("--port", type=PORT, default=PROXY_PORT, help="Where the proxy listens; 0 is any free port.")
@click.option("--listeners", type=click.IntRange(min=1), default=1, help="As for `tfleet proxy`.")
@click.option(
    "--mode",
    type=click.Choice(MODES),
    default="forward",
    help="forward: requests go through the proxy. p2p: it only says which worker to talk to.",
)
@admin_port_option
@model_options
@registry_options
@ticket_key_file_option
@work_options
@log_format_option
@log_level_option
@click.pass_context
def up(
    ctx: click.Context,
    /,
    *,
    workers: int,
    host: str,
    port: int,
    admin_port: int | None,
    listeners: int,
    mode: Mode,
    registry: str | None,
    registry_port: int,
    registry_token_file: Path | None,
    service: str,
    ticket_key_file: Path | None,
    drain_timeout_s: float,
    log_format: LogFormat,
    log_level: LogLevel,
    **of_workers: Any,
) -> None:
    """Start a whole fleet on this machine: registry, proxy and workers.

    A process that dies is started again. Ctrl-C stops them all: the proxy finishes what it has, then each
    worker leaves the registry and does the same, then the registry stops; a second Ctrl-C kills what is left.

    \b
      tfleet up
      tfleet up --workers 4 --mode p2p --port 8080
      tfleet up --host 0.0.0.0
      tfleet up --model path/to/model/3 --registry consul://127.0.0.1:8500
      tfleet up --model output_graph.pb --labels output_labels.txt --input-layer DecodeJpeg/contents:0

    With --host others can send images, too, and with --mode p2p, unless there is a --ticket-key-file, drain
    workers. The registry stays on loopback.

    The workers share the CPUs, unless --cpus says how many each of them computes on. The other options of
    proxy and worker go through the environment:

    \b
      TFLEET_BALANCE=least-request tfleet up
    """
    chosen = chosen_registry(registry, registry_port, registry_token_file)
    if isinstance(chosen, StaticRegistry):
        raise CommandRefusedError(
            f"--registry {chosen}: nobody registers in a static list, so the workers that `tfleet up` starts "
            "would never be found; use `tfleet proxy` with it, or --registry embedded"
        )
    if ticket_key_file:
        _check(ticket_key_file)
    _check_modules()
    _check_model(of_workers)
    if admin_port and admin_port == port:
        raise click.UsageError(f"--admin-port {admin_port} is --port, too: choose another one")
    proxy, admin_port, chosen = _claim(Address(host, port), admin_port, chosen)
    fleet = FleetPlan(
        proxy=proxy,
        admin_port=admin_port,
        mode=mode,
        workers=workers,
        registry=chosen,
        service=service,
        registry_token_file=registry_token_file,
        ticket_key_file=ticket_key_file,
        log_format=_log_format(log_format),
        log_level=log_level,
        drain_timeout_s=drain_timeout_s,
        listeners=listeners,
        of_proxy=passed_on(ctx, of_workers.keys() & _OF_PROXY_TOO),
        of_workers=passed_on(ctx, of_workers),
    )
    console = Console(out=sys.stdout, err=sys.stderr, width=max(len("registry"), len(f"worker-{workers}")))
    if isinstance(chosen, ConsulRegistry) and not reachable(chosen.address):
        console.say(silent_registry(chosen))
    here = Path.cwd()
    # Each of the processes would complain once more.
    heeded = {name: value for name, value in os.environ.items() if name not in ctx.meta.get(STRANGERS, ())}
    environ = fleet.child_environ(heeded, usable_cpus())
    running = run_fleet(fleet, console, environ, image=photo(here), tfleet=program(sys.argv[0], here))
    sys.exit(asyncio.run(running))


def _check_modules() -> None:
    """Find out here, and not from each of the processes, that something is not installed. Raises
    ModuleNotFoundError.
    """
    for name in _IMPORTED_LATE:
        if find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def _check_model(options: Mapping[str, Any]) -> None:
    """Find out here, and not from each of the workers, what the files tell before TensorFlow reads them."""
    try:
        find_model(options["model"], **{name: options[name] for name in _OF_BARE_GRAPHS})
    except ModelError as error:
        raise CommandRefusedError(str(error)) from error


def _claim(
    wanted: Address, admin_port: int | None, registry: ConsulRegistry | EmbeddedRegistry
) -> tuple[Address, int | None, ConsulRegistry | EmbeddedRegistry]:
    """The proxy's address, its admin port and the registry with real ports, all free before anything is
    started.
    """
    ports = {"--port": wanted.port}
    if admin_port is not None:
        ports["--admin-port"] = admin_port
    if isinstance(registry, EmbeddedRegistry):
        ports["--registry-port"] = registry.address.port
    try:
        free = free_ports(ports, hosts=dict.fromkeys(("--port", "--admin-port"), wanted.host))
    except PortTakenError as error:
        raise CommandRefusedError(str(error)) from error
    if isinstance(registry, EmbeddedRegistry):
        registry = replace(registry, address=Address(LOOPBACK, free["--registry-port"]))
    return Address(wanted.host, free["--port"]), free.get("--admin-port"), registry


def _check(ticket_key_file: Path) -> None:
    """Find out here, and not from each of the processes, that they could not read it."""
    try:
        read_keys(ticket_key_file)
    except BadKeyFileError as error:
        raise CommandRefusedError(str(error)) from error


def _log_format(chosen: LogFormat) -> LogFormat:
    """The children write into a pipe: whether a person reads it is known only here."""
    if chosen != "auto":
        return chosen
    return "console" if sys.stderr.isatty() else "json"
