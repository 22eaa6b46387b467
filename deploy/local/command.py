"""`tfleet up`."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from tfleet.contract.address import LOCALHOST, Address
from tfleet.contract.names import PROXY_PORT
from tfleet.contract.ticket_keys import BadKeyFileError, read_keys
from tfleet.deploy.errors import CommandRefusedError
from tfleet.deploy.lazy_commands import UNKNOWN_VARIABLES
from tfleet.deploy.local.jobs_plan import jobs_plan, up_jobs_option
from tfleet.deploy.local.messages import photo, program, unreachable_registry_warning
from tfleet.deploy.local.plan import LOOPBACK, FleetPlan, ProxyPlan, SharedOptions, WorkersPlan
from tfleet.deploy.local.ports import PortTakenError, free_ports, reachable
from tfleet.deploy.local.repository.options import RepositoryOptions, repository_options
from tfleet.deploy.local.run import run_fleet
from tfleet.deploy.local.terminal import Console
from tfleet.discovery.options import (
    PORT,
    RegistryOptions,
    admin_port_option,
    log_format_option,
    log_level_option,
    registry_data_dir_option,
    registry_options,
    take_options,
    ticket_key_file_option,
)
from tfleet.discovery.registry import ConsulRegistry, EmbeddedRegistry, StaticRegistry
from tfleet.jobs.options import visibility_option
from tfleet.proxy.options import listeners_option, mode_option
from tfleet.proxy.settings import Mode
from tfleet.runtime.cpus import usable_cpus
from tfleet.runtime.log import LogFormat, LogSettings
from tfleet.worker.model import ModelError
from tfleet.worker.model.model_path import ModelUrl
from tfleet.worker.model.remote_progress import local_model
from tfleet.worker.options import ModelOptions, model_options, work_options

_REQUIRED_MODULES = ("flask", "multipart", "PIL", "tensorflow", "uvloop")
_SHARED_WITH_PROXY = {"max_body_bytes", "cors_origins", "drain_grace_s"}
"""Options of workers that the proxy has as well, with the same meaning."""


def arguments_for(ctx: click.Context, names: Collection[str]) -> tuple[str, ...]:
    """Those of the named options that were given on the command line, as arguments for another command.

    Options from the environment are left out: the other command reads the environment itself.
    """
    given = (
        option
        for option in ctx.command.params
        if isinstance(option, click.Option)
        and option.name in names
        and ctx.get_parameter_source(option.name) is ParameterSource.COMMANDLINE
    )
    return tuple(
        argument for option in given for argument in _arguments(option, ctx.params[str(option.name)])
    )


def _arguments(option: click.Option, value: Any) -> Iterator[str]:
    flag = max(option.opts, key=len)
    if option.is_flag:
        yield flag if value else max(option.secondary_opts, key=len)
        return
    for each in value if option.multiple else (value,):
        yield from (flag, str(each))


@click.command(context_settings={"show_default": True})
@click.option("--workers", type=click.IntRange(min=1), default=2, help="Number of workers to start.")
@click.option(
    "--host",
    default=LOCALHOST,
    help="Address that the proxy listens on, with --mode p2p also the workers; localhost is reachable from "
    "this machine only, 0.0.0.0 from all.",
)
@click.option(
    "--port", type=PORT, default=PROXY_PORT, help="Port that the proxy listens on; 0 is any free port."
)
@listeners_option
@mode_option
@admin_port_option
@model_options
@repository_options
@click.option(
    "--preload/--no-preload",
    default=True,
    help="With --models or several workers, import TensorFlow once, in a process from which the workers are "
    "forked: they start in a fraction of the time, and share memory.",
)
@registry_options
@registry_data_dir_option
@ticket_key_file_option
@work_options
@up_jobs_option
@visibility_option
@log_format_option
@log_level_option
@click.pass_context
def up(ctx: click.Context, /, **options: Any) -> None:
    """Start a whole fleet on this machine: registry, proxy and workers.

    A process that dies is started again. Ctrl-C stops all of them in order: the proxy finishes its requests,
    then each worker deregisters and finishes its own, then the registry stops. A second Ctrl-C kills what is
    left.

    \b
      tfleet up
      tfleet up --workers 4 --mode p2p --port 8080
      tfleet up --host 0.0.0.0 --jobs
      tfleet up --model path/to/model/3 --registry consul://127.0.0.1:8500
      tfleet up --models path/to/models --workers-per-model 2
      tfleet up --model output_graph.pb --labels output_labels.txt --input-layer DecodeJpeg/contents:0

    With --host other machines can send images and, with --mode p2p and without --ticket-key-file, drain
    workers. The registry stays on loopback.

    The workers share the CPUs, unless --cpus sets the number for each of them. Set other options of proxy and
    worker as environment variables:

    \b
      TFLEET_BALANCE=least-request tfleet up
    """
    own, chosen = take_options(UpOptions, options), take_options(RegistryOptions, options)
    starts = take_options(StartOptions, options)
    logs = take_options(LogSettings, options, prefix="log_")
    repository = take_options(RepositoryOptions, options).plan(ctx)
    registry = _registry(chosen)
    if own.ticket_key_file:
        _check_key_file(own.ticket_key_file)
    _check_modules()
    worker_options = _with_local_model(ctx, options) if repository is None else arguments_for(ctx, options)
    if own.admin_port and own.admin_port == own.port:
        raise click.UsageError(f"--admin-port {own.admin_port} is --port, too: choose another one")
    # Last of the checks, right before the processes bind the ports: others could take them in between.
    address, admin_port, registry = _free_addresses(Address(own.host, own.port), own.admin_port, registry)
    proxy_options = arguments_for(ctx, options.keys() & _SHARED_WITH_PROXY)
    shared = SharedOptions(
        replace(logs, format=_log_format(logs.format)),
        chosen.registry_token_file,
        own.ticket_key_file,
        jobs_plan(own.jobs, address.port),
    )
    fleet = FleetPlan(
        proxy=ProxyPlan(address, own.mode, own.listeners, admin_port, proxy_options),
        workers=starts.plan(worker_options, several=repository is not None),
        registry=registry,
        service=chosen.service,
        shared=shared,
        drain_timeout_s=own.drain_timeout_s,
        repository=repository,
    )
    console = Console(out=sys.stdout, err=sys.stderr, width=starts.width)
    if isinstance(registry, ConsulRegistry) and not reachable(registry.address):
        console.say(unreachable_registry_warning(registry))
    here = Path.cwd()
    environ = fleet.child_environ(_known_variables(ctx), usable_cpus())
    running = run_fleet(fleet, console, environ, image=photo(here), tfleet=program(sys.argv[0], here))
    sys.exit(asyncio.run(running))


def _known_variables(ctx: click.Context) -> dict[str, str]:
    """The environment without the unknown variables: each of the processes would warn of them again."""
    unknown = ctx.meta.get(UNKNOWN_VARIABLES, ())
    return {name: value for name, value in os.environ.items() if name not in unknown}


@dataclass(frozen=True, slots=True)
class UpOptions:
    """The options that `tfleet up` reads itself; it passes all others on to the workers."""

    host: str
    port: int
    admin_port: int | None
    listeners: int
    mode: Mode
    ticket_key_file: Path | None
    drain_timeout_s: float
    jobs: str | None


@dataclass(frozen=True, slots=True)
class StartOptions:
    """The options that say how workers are started."""

    workers: int
    preload: bool

    @property
    def width(self) -> int:
        """The width of the longest name of a process."""
        return max(len("registry"), len(f"worker-{self.workers}"))

    def plan(self, options: tuple[str, ...], *, several: bool) -> WorkersPlan:
        """The workers. A single one is not worth a process to fork it from, unless there may be `several`."""
        return WorkersPlan(self.workers, options, preload=self.preload and (several or self.workers > 1))


def _registry(options: RegistryOptions) -> ConsulRegistry | EmbeddedRegistry:
    """The registry to use. Raises CommandRefusedError for a static list."""
    registry = options.chosen()
    if isinstance(registry, StaticRegistry):
        raise CommandRefusedError(
            f"--registry {registry}: workers do not register in a static list, so the proxy would never find "
            "the workers that `tfleet up` starts; use `tfleet proxy` with it, or --registry embedded"
        )
    return registry


def _check_modules() -> None:
    """Raise ModuleNotFoundError once, instead of once in each process, if something is not installed."""
    for name in _REQUIRED_MODULES:
        if find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def _with_local_model(ctx: click.Context, options: Mapping[str, Any]) -> tuple[str, ...]:
    """The workers' options, with a model that is fetched and checked here once, and not in each worker.

    Raises CommandRefusedError if the model can't be used.
    """
    model = take_options(ModelOptions, dict(options))
    try:
        local = replace(model, model=local_model(model.model))
        local.find()
    except ModelError as error:
        raise CommandRefusedError(str(error)) from error
    if isinstance(model.model, ModelUrl):
        # Also where the URL comes from the environment: the command line wins over that.
        return "--model", str(local.model), *arguments_for(ctx, options.keys() - {"model"})
    return arguments_for(ctx, options)


def _free_addresses(
    wanted: Address, admin_port: int | None, registry: ConsulRegistry | EmbeddedRegistry
) -> tuple[Address, int | None, ConsulRegistry | EmbeddedRegistry]:
    """The proxy's address, its admin port and the registry, with free ports instead of 0.

    Raises CommandRefusedError.
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


def _check_key_file(ticket_key_file: Path) -> None:
    """Raise CommandRefusedError once, instead of once in each process, if the file is unusable."""
    try:
        read_keys(ticket_key_file)
    except BadKeyFileError as error:
        raise CommandRefusedError(str(error)) from error


def _log_format(chosen: LogFormat) -> LogFormat:
    """The children write to a pipe, so only this process knows whether the log is read on a terminal."""
    if chosen != "auto":
        return chosen
    return "console" if sys.stderr.isatty() else "json"
