"""`tfleet autoscale`."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from tfleet.client.async_client import AsyncFleetClient
from tfleet.client.commands.options import proxy_option, quiet_end
from tfleet.client.text import printable
from tfleet.deploy.compose.autoscaler import Autoscaler, Scope
from tfleet.deploy.compose.engine import Engine, EngineError, connected
from tfleet.deploy.compose.load import Readings
from tfleet.deploy.compose.policy import COOLDOWN_S, STABILIZATION_S, TARGET_BUSY, TARGET_QUEUE, ScalingRules
from tfleet.deploy.compose.project import NoSuchProjectError, workers_of
from tfleet.deploy.compose.report import JsonEventLog, TextEventLog
from tfleet.deploy.compose.scale_command import project_option, service_option
from tfleet.deploy.errors import CommandRefusedError
from tfleet.deploy.signals import on_stop_signal

_INTERVAL_S: Final = 15.0
"""As --horizontal-pod-autoscaler-sync-period has it."""
_ANSWER_TIMEOUT_S: Final = 5.0


@click.command(context_settings={"show_default": True})
@click.option("--min", "least", type=click.IntRange(min=1), required=True, help="Never fewer workers.")
@click.option("--max", "most", type=click.IntRange(min=1), required=True, help="Never more workers.")
@proxy_option
@project_option
@service_option
@click.option(
    "--target-busy",
    type=click.FloatRange(min=0, max=1, min_open=True),
    default=TARGET_BUSY,
    help="Share of the time in which a worker is to have something to do, on average.",
)
@click.option(
    "--target-queue",
    type=click.FloatRange(min=0, min_open=True),
    default=TARGET_QUEUE,
    help="Requests that may wait in a worker, on average.",
)
@click.option(
    "--interval",
    "interval_s",
    type=click.FloatRange(min=0.1),
    default=_INTERVAL_S,
    metavar="SECONDS",
    help="How often to look.",
)
@click.option(
    "--cooldown",
    "cooldown_s",
    type=click.FloatRange(min=0),
    default=COOLDOWN_S,
    metavar="SECONDS",
    help="No change for so long after a change, but for queues that are too long.",
)
@click.option(
    "--stabilization",
    "stabilization_s",
    type=click.FloatRange(min=0),
    default=STABILIZATION_S,
    metavar="SECONDS",
    help="Fewer workers only when they have been enough for so long.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be decided.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def autoscale(
    *,
    least: int,
    most: int,
    proxy: tuple[str, ...],
    project: str | None,
    service: str,
    target_busy: float,
    target_queue: float,
    interval_s: float,
    cooldown_s: float,
    stabilization_s: float,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Follow the load with the number of workers that `docker compose up` started.

    Each worker's own metrics say for which share of the time it was busy and how many requests wait; as
    many are wanted as it takes to bring both to their targets. Who has to leave drains first. A line for each
    decision says the figures that led to it. SIGTERM and Ctrl-C end it at once.

    DOCKER_HOST says where the engine is.

    \b
    Examples:
      tfleet autoscale --min 2 --max 8 --dry-run
      tfleet autoscale --min 1 --max 4 --target-busy 0.5 --json >> scaling.jsonl

    \b
    Exit code:
      0  it was told to stop
      1  the engine did not answer at the beginning
      2  wrong usage, or no such project
    """
    if least > most:
        raise CommandRefusedError(f"--min {least} is more than --max {most}")
    rules = ScalingRules(least, most, target_busy, target_queue, cooldown_s, stabilization_s)
    diary = (JsonEventLog if as_json else TextEventLog)(click.echo, _now)
    with quiet_end():
        try:
            with connected() as engine:
                found = workers_of(engine, named=project, service=service, folder=str(Path.cwd()))
                scope = Scope(found[0].project, service)
                asyncio.run(_autoscale(engine, proxy, scope, rules, diary, interval_s, dry_run=dry_run))
        except NoSuchProjectError as error:
            raise CommandRefusedError(str(error)) from error
        except EngineError as error:
            click.echo(printable(str(error)), err=True)
            sys.exit(1)


async def _autoscale(
    engine: Engine,
    proxy: tuple[str, ...],
    scope: Scope,
    rules: ScalingRules,
    diary: TextEventLog | JsonEventLog,
    interval_s: float,
    *,
    dry_run: bool,
) -> None:
    """Until a signal comes."""
    task = asyncio.current_task()
    assert task is not None
    async with AsyncFleetClient(proxy, timeout_s=_ANSWER_TIMEOUT_S) as client:
        scaler = Autoscaler(
            engine, Readings(client), scope, rules, diary, interval_s=interval_s, dry_run=dry_run
        )
        with on_stop_signal(lambda: _cancel(task)), suppress(asyncio.CancelledError):
            await scaler.run()
        draining = scaler.change.draining.values() if scaler.change is not None else ()
        diary.ended(tuple(container.name for container in draining))


def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()


def _now() -> datetime:
    return datetime.now(UTC).astimezone()
