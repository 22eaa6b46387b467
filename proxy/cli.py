"""`tfleet proxy`."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import click
import uvloop

from tfleet.contract.address import LOCALHOST, Address
from tfleet.contract.cors import Cors
from tfleet.contract.names import PROXY_PORT
from tfleet.contract.ticket_keys import BadKeyFileError, KeyFile, read_keys
from tfleet.discovery.embedded import KeyValueFileError
from tfleet.discovery.options import (
    PORT,
    RegistryOptions,
    admin_port_option,
    advertise_option,
    cors_origin_option,
    drain_options,
    log_format_option,
    log_level_option,
    max_body_bytes_option,
    options_as,
    registry_data_dir_option,
    registry_options,
    ticket_key_file_option,
)
from tfleet.discovery.registry import StaticRegistry
from tfleet.httpd.admission import ConnectionLimits
from tfleet.httpd.drain import DrainTimes
from tfleet.httpd.listen import CannotListenError
from tfleet.jobs.options import JobOptions, job_limit_options, jobs_option
from tfleet.proxy.jobs.callbacks import AllowedUrl, BadCallbackPrefixError
from tfleet.proxy.multiprocess.parent import serve_together
from tfleet.proxy.options import listeners_option, mode_option
from tfleet.proxy.server import run_proxy
from tfleet.proxy.settings import (
    BALANCES,
    SLOW_START_S,
    BalancingSettings,
    DiscoverySettings,
    JobSettings,
    ListenSettings,
    Mode,
    ModeSettings,
    ProxySettings,
    RequestLimits,
)
from tfleet.runtime import log
from tfleet.runtime.log import LogSettings


@dataclass(frozen=True, slots=True)
class ProxyOptions:
    """The options that belong to no other group, as given on the command line."""

    host: str
    port: int
    admin_port: int | None
    mode: Mode
    redirect_all: bool
    advertise: Address | None
    ticket_key_file: Path | None
    cors_origins: tuple[str, ...]


@click.command(context_settings={"show_default": True})
@click.option(
    "--host",
    default=LOCALHOST,
    help="Address to listen on; localhost is 127.0.0.1 and ::1, 0.0.0.0 is every interface.",
)
@click.option("--port", type=PORT, default=PROXY_PORT, help="Port to listen on; 0 is any free port.")
@admin_port_option
@listeners_option
@mode_option
@click.option(
    "--redirect-all",
    is_flag=True,
    help="With --mode p2p, redirect requests below /v1 and /v2 as well. Without it the proxy forwards them: "
    "clients of TensorFlow Serving, Triton and KServe follow no redirect.",
)
@advertise_option
@registry_options
@registry_data_dir_option
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
@max_body_bytes_option
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    help="Time limit of a request in seconds; a request that takes longer is answered with 504.",
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
    help="Seconds that a client may pause within its request; one that pauses longer is answered with 408.",
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
    help="Largest number of client connections; further ones are answered with 503 if none is idle.",
)
@click.option(
    "--header-timeout",
    "header_timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    help="Time limit for the head of a request in seconds; a slower one is answered with 408.",
)
@click.option(
    "--idle-timeout",
    "idle_timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    default=75.0,
    help="Seconds that an idle connection is kept open.",
)
@jobs_option("Keep jobs (POST /jobs, and ?queue=1) in these Redis.")
@job_limit_options
@drain_options(timeout_s=30.0)
@log_format_option
@log_level_option
@options_as(LogSettings, "logs", prefix="log_")
@options_as(DrainTimes, "drain", prefix="drain_")
@options_as(RequestLimits, "limits")
@options_as(ConnectionLimits, "client_limits")
@options_as(BalancingSettings, "balancing")
@options_as(RegistryOptions, "registry")
@options_as(JobOptions, "job_options")
@options_as(ProxyOptions, "options")
def proxy(
    *,
    options: ProxyOptions,
    job_options: JobOptions,
    registry: RegistryOptions,
    balancing: BalancingSettings,
    client_limits: ConnectionLimits,
    limits: RequestLimits,
    drain: DrainTimes,
    logs: LogSettings,
    listeners: int,
) -> None:
    """Forward requests to live workers, or tell clients which worker to talk to.

    \b
    Two terminals make a fleet:
      tfleet proxy
      tfleet worker
    With Consul, where it registers itself as NAME-proxy, so that several can be found:
      tfleet proxy --registry consul://127.0.0.1:8500
    """
    log.configure(logs.format, level=logs.level)
    if client_limits.max_connections < listeners:
        raise click.UsageError(
            f"--max-connections {client_limits.max_connections} is less than --listeners {listeners}: "
            "each listener needs at least one"
        )
    try:
        settings = ProxySettings(
            serving=_serving(options),
            listen=_listen(options, client_limits),
            discovery=_discovery(registry, options.advertise),
            balancing=balancing,
            limits=limits,
            ticket_keys=KeyFile(options.ticket_key_file) if options.ticket_key_file else None,
            drain=drain,
            jobs=_jobs(job_options, limits.max_body_bytes),
        )
        if listeners == 1:
            uvloop.run(run_proxy(settings))
        else:
            sys.exit(uvloop.run(serve_together(settings, listeners, logs)))
    except (CannotListenError, BadKeyFileError, KeyValueFileError) as error:
        click.echo(f"tfleet proxy: {error}", err=True)
        sys.exit(2)


def _serving(options: ProxyOptions) -> ModeSettings:
    if options.redirect_all and options.mode != "p2p":
        raise click.UsageError(
            f"--redirect-all is for --mode p2p, and the mode is {options.mode}: leave it out"
        )
    return ModeSettings(options.mode, options.redirect_all)


def _listen(options: ProxyOptions, limits: ConnectionLimits) -> ListenSettings:
    if options.admin_port and options.admin_port == options.port:
        raise click.UsageError(f"--admin-port {options.admin_port} is --port, too: choose another one")
    return ListenSettings(
        address=Address(options.host, options.port),
        admin=None if options.admin_port is None else Address(options.host, options.admin_port),
        limits=replace(limits, idle_give_way=True),
        cors=Cors.parse(options.cors_origins),
    )


def _jobs(options: JobOptions, max_body_bytes: int) -> JobSettings | None:
    if not options.jobs:
        return None
    options.check_body(max_body_bytes)
    allowed, key_file = options.job_callback_allow, options.job_callback_key_file
    if bool(allowed) != (key_file is not None):
        raise click.UsageError("--job-callback-allow and --job-callback-key-file need each other")
    try:
        for each in allowed:
            AllowedUrl.parse(each)
    except BadCallbackPrefixError as error:
        raise click.UsageError(f"--job-callback-allow: {error}") from error
    if key_file is not None:
        read_keys(key_file, "--job-callback-key-file")
    return JobSettings(options.jobs, options.limits, options.times, allowed, key_file)


def _discovery(options: RegistryOptions, advertise: Address | None) -> DiscoverySettings:
    registry = options.chosen()
    if isinstance(registry, StaticRegistry) and not registry.addresses:
        raise click.UsageError("--registry static: names no worker: expected static:HOST:PORT,HOST:PORT")
    return DiscoverySettings(registry, options.service, advertise)
