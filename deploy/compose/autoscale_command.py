"""`tfleet autoscale`."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from tfleet.client.async_client import AsyncFleetClient
from tfleet.client.commands.options import proxy_option
from tfleet.client.text import printable
from tfleet.deploy.compose.autoscaler import Autoscaler, Scope
from tfleet.deploy.compose.engine import Engine, EngineError, connected
from tfleet.deploy.compose.policy import COOLDOWN_S, STABILIZATION_S, TARGET_BUSY, TARGET_QUEUE, ScalingRules
from tfleet.deploy.compose.project import NoSuchProjectError, workers_of
from tfleet.deploy.compose.report import JsonEventLog, TextEventLog
from tfleet.deploy.compose.scale_command import project_option, service_option
from tfleet.deploy.compose.worker_load import LoadReader
from tfleet.deploy.errors import CommandRefusedError
from tfleet.deploy.signals import on_stop_signal
from tfleet.discovery.options import dry_run_option, json_option
from tfleet.runtime.clean_exit import clean_exit

_INTERVAL_S: Final = 15.0
"""The default of --horizontal-pod-autoscaler-sync-period."""
_RESPONSE_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class AutoscaleOptions:
    """The command line. `proxy` as of `--proxy`; times are in seconds."""

    rules: ScalingRules
    proxy: tuple[str, ...]
    interval_s: float
    dry_run: bool


@click.command(context_settings={"show_default": True})
@click.option(
    "--min", "least", type=click.IntRange(min=1), required=True, help="The least number of workers."
)
@click.option(
    "--max", "most", type=click.IntRange(min=1), required=True, help="The largest number of workers."
)
@proxy_option
@project_option
@service_option
@click.option(
    "--target-busy",
    type=click.FloatRange(min=0, max=1, min_open=True),
    default=TARGET_BUSY,
    help="Target share of the time in which a worker is busy, on average.",
)
@click.option(
    "--target-queue",
    type=click.FloatRange(min=0, min_open=True),
    default=TARGET_QUEUE,
    help="Target number of requests that wait in a worker, on average.",
)
@click.option(
    "--interval",
    "interval_s",
    type=click.FloatRange(min=0.1),
    default=_INTERVAL_S,
    metavar="SECONDS",
    help="Seconds between two decisions.",
)
@click.option(
    "--cooldown",
    "cooldown_s",
    type=click.FloatRange(min=0),
    default=COOLDOWN_S,
    metavar="SECONDS",
    help="No change for this long after a change, unless queues are above their target.",
)
@click.option(
    "--stabilization",
    "stabilization_s",
    type=click.FloatRange(min=0),
    default=STABILIZATION_S,
    metavar="SECONDS",
    help="Scale down only if fewer workers were enough for this long.",
)
@dry_run_option("Print decisions without carrying them out")
@json_option("one JSON object a line")
def autoscale(
    *,
    proxy: tuple[str, ...],
    project: str | None,
    service: str,
    interval_s: float,
    dry_run: bool,
    as_json: bool,
    **rules: Any,
) -> None:
    """Adjust the number of workers that `docker compose up` started to the load.

    Each worker's own metrics say for which share of the time it was busy and how many requests wait in it.
    The number of workers is chosen so that both meet their targets. Workers that have to leave drain first.
    Each decision is printed as one line with its figures. SIGTERM and Ctrl-C end the command at once.

    DOCKER_HOST names the Docker engine.

    \b
    Examples:
      tfleet autoscale --min 2 --max 8 --dry-run
      tfleet autoscale --min 1 --max 4 --target-busy 0.5 --json >> scaling.jsonl

    \b
    Exit code:
      0  stopped by a signal
      1  the Docker engine did not answer at the start
      2  wrong usage, or no such project
    """
    options = AutoscaleOptions(ScalingRules(**rules), proxy, interval_s, dry_run)
    if options.rules.least > options.rules.most:
        raise CommandRefusedError(f"--min {options.rules.least} is more than --max {options.rules.most}")
    events = (JsonEventLog if as_json else TextEventLog)(click.echo, _now)
    with clean_exit():
        try:
            with connected() as engine:
                found = workers_of(engine, named=project, service=service, folder=str(Path.cwd()))
                scope = Scope(found[0].labels.project, service)
                asyncio.run(_autoscale(engine, scope, options, events))
        except NoSuchProjectError as error:
            raise CommandRefusedError(str(error)) from error
        except EngineError as error:
            click.echo(printable(str(error)), err=True)
            sys.exit(1)


async def _autoscale(
    engine: Engine, scope: Scope, options: AutoscaleOptions, events: TextEventLog | JsonEventLog
) -> None:
    """Run until a signal arrives."""
    task = asyncio.current_task()
    assert task is not None
    async with AsyncFleetClient(options.proxy, timeout_s=_RESPONSE_TIMEOUT_S) as client:
        scaler = Autoscaler(
            engine,
            LoadReader(client),
            scope,
            options.rules,
            events,
            interval_s=options.interval_s,
            dry_run=options.dry_run,
        )
        with on_stop_signal(lambda: _cancel(task)), suppress(asyncio.CancelledError):
            await scaler.run()
        # Draining is left to Docker: waiting for it here could take minutes after the signal.
        draining = scaler.current_run.draining.values() if scaler.current_run is not None else ()
        events.ended(tuple(container.name for container in draining))


def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()


def _now() -> datetime:
    return datetime.now(UTC).astimezone()
