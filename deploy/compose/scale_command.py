"""`tfleet scale`, and the options that it shares with `tfleet autoscale`."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from tfleet.client.async_client import AsyncFleetClient
from tfleet.client.commands.options import proxy_option, with_hint
from tfleet.client.errors import FleetError
from tfleet.client.text import printable
from tfleet.deploy.compose.apply import ScaleRun
from tfleet.deploy.compose.container import Container
from tfleet.deploy.compose.engine import Engine, EngineError, connected
from tfleet.deploy.compose.events import ContainerEvent
from tfleet.deploy.compose.plan import ScalePlan, alive, plan
from tfleet.deploy.compose.project import NoSuchProjectError, workers_of
from tfleet.deploy.compose.readiness import ReadinessWait
from tfleet.deploy.compose.report import DryRun, Result
from tfleet.deploy.errors import CommandRefusedError
from tfleet.discovery.options import dry_run_option, json_option, wait_options
from tfleet.runtime.clean_exit import clean_exit

project_option = click.option(
    "-p",
    "--project-name",
    "project",
    metavar="NAME",
    envvar="COMPOSE_PROJECT_NAME",
    help="The compose project.  [default: that of this folder, or else the only one]",
)

# Not --service, which is the workers' name in the registry: TFLEET_SERVICE is often set.
service_option = click.option(
    "--compose-service",
    "service",
    metavar="NAME",
    default="worker",
    show_default=True,
    help="The workers' service in the compose file.",
)

_PROXY_TIMEOUT_S: Final = 10.0


@click.command()
@click.argument("workers", metavar="N", type=click.IntRange(min=0))
@proxy_option
@project_option
@service_option
@wait_options("the proxy lists all workers as ready", 120.0)
@dry_run_option("Only print what would be done")
@json_option("one JSON object at the end")
def scale(*, workers: int, as_json: bool, **options: Any) -> None:
    """Scale the fleet that `docker compose up` started to N workers.

    New containers are copies of existing ones and belong to compose: `docker compose ps` shows them and
    `docker compose down` removes them. Workers that have to leave drain first, so no request is lost. Useless
    workers leave first (restarting, paused, unhealthy), then those with the highest numbers. With 0 workers,
    requests are answered with 503.

    DOCKER_HOST names the Docker engine.

    \b
    Examples:
      tfleet scale 4
      tfleet scale 1 --dry-run
      tfleet scale 8 -p tfleet --proxy gpu-box:12480 --json

    \b
    Exit code:
      0    there are N workers, and the proxy lists all of them as ready
      1    Docker or the proxy did not answer, or something failed
      2    wrong usage, or no such project
      130  interrupted; workers that drain go on, and their containers stay
    """
    with clean_exit():
        try:
            result = _run(ScaleOptions(workers=workers, as_json=as_json, **options))
        except NoSuchProjectError as error:
            raise CommandRefusedError(str(error)) from error
        except EngineError as error:
            click.echo(printable(str(error)), err=True)
            sys.exit(1)
        except FleetError as error:
            click.echo(f"{with_hint(error)} Nothing was changed.", err=True)
            sys.exit(1)
        if result is not None:
            _print(result, as_json=as_json)
            if not result.good:
                sys.exit(1)


@dataclass(frozen=True, slots=True)
class ScaleOptions:
    """The command line."""

    workers: int
    proxy: tuple[str, ...]
    project: str | None
    service: str
    wait: bool
    wait_timeout_s: float
    dry_run: bool
    as_json: bool

    def report(self, event: ContainerEvent) -> None:
        """Print an event on standard error; nothing with --json."""
        if not self.as_json:
            click.echo(printable(str(event)), err=True)


def _run(options: ScaleOptions) -> Result | None:
    """Scale, or print the plan and return None. Raises NoSuchProjectError, EngineError and FleetError."""
    with connected() as engine:
        folder = str(Path.cwd())
        found = workers_of(engine, named=options.project, service=options.service, folder=folder)
        scale_plan, before = plan(found, options.workers), len(alive(found))
        if options.dry_run:
            planned = DryRun(options.workers, before, scale_plan)
            click.echo(json.dumps(planned.document()) if options.as_json else "\n".join(planned.lines()))
            return None
        return asyncio.run(_scale(engine, alive(found), scale_plan, options))


async def _scale(
    engine: Engine, living: Sequence[Container], scale_plan: ScalePlan, options: ScaleOptions
) -> Result:
    """Raises EngineError and, before anything is changed, FleetError."""
    missing: dict[str, str] = {}
    async with AsyncFleetClient(options.proxy, timeout_s=_PROXY_TIMEOUT_S) as client:
        # A proxy that does not answer would only be noticed after the change.
        if options.wait:
            await client.workers()
        outcome = await ScaleRun(engine, scale_plan, options.report).carry_out()
        wanted = [*(each for each in living if each not in scale_plan.stop), *outcome.started]
        if wanted and options.wait:
            new = {container.id for container in outcome.started}
            readiness = ReadinessWait(
                engine, client, wanted, new=new, service=options.service, report=options.report
            )
            await readiness.wait(options.wait_timeout_s)
            missing = readiness.missing
    return Result(
        options.workers,
        len(living),
        started=tuple(container.name for container in outcome.started),
        stopped=tuple(container.name for container in outcome.stopped),
        failures=tuple(outcome.failures),
        missing=missing,
        waited=options.wait,
        kept=scale_plan.keep.name if scale_plan.keep is not None else None,
    )


def _print(result: Result, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(result.document()))
    elif result.good:
        click.echo(result.line())
    else:
        for error in result.errors():
            click.echo(printable(error), err=True)
