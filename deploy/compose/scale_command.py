"""The options that `tfleet scale` and `tfleet autoscale` share.

`tfleet scale`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from tfleet.client.async_client import AsyncFleetClient
from tfleet.client.commands.options import proxy_option, quiet_end, with_hint
from tfleet.client.errors import FleetError
from tfleet.client.text import printable
from tfleet.deploy.compose.apply import ScaleRun
from tfleet.deploy.compose.container import Container
from tfleet.deploy.compose.engine import Engine, EngineError, connected
from tfleet.deploy.compose.events import ContainerEvent, Tell
from tfleet.deploy.compose.plan import ScalePlan, alive, plan
from tfleet.deploy.compose.project import NoSuchProjectError, workers_of
from tfleet.deploy.compose.readiness import Arrival
from tfleet.deploy.compose.report import Prospect, Result
from tfleet.deploy.errors import CommandRefusedError

project_option = click.option(
    "-p",
    "--project-name",
    "project",
    metavar="NAME",
    envvar="COMPOSE_PROJECT_NAME",
    help="The compose project.  [default: the one of this folder, or else the only one]",
)

# Not --service: that is the workers' name in the registry, and TFLEET_SERVICE is often set.
service_option = click.option(
    "--compose-service",
    "service",
    metavar="NAME",
    default="worker",
    show_default=True,
    help="Which service of the compose file the workers are.",
)

_PROXY_TIMEOUT_S: Final = 10.0


@click.command()
@click.argument("workers", metavar="N", type=click.IntRange(min=0))
@proxy_option
@project_option
@service_option
@click.option(
    "--wait/--no-wait",
    default=True,
    show_default=True,
    help="Wait until the proxy has all of them as ready, or only start them.",
)
@click.option(
    "--wait-timeout",
    "wait_timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    default=120.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end.")
def scale(
    *,
    workers: int,
    proxy: tuple[str, ...],
    project: str | None,
    service: str,
    wait: bool,
    wait_timeout_s: float,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Have N workers in the fleet that `docker compose up` started.

    New containers are made like those that are there, and are compose's own: `docker compose ps` shows them
    and `docker compose down` removes them. Who has to leave drains first and loses no request: those that are
    of no use, then the highest numbers. With 0 nobody is left, and requests are answered with 503.

    DOCKER_HOST says where the engine is.

    \b
    Examples:
      tfleet scale 4
      tfleet scale 1 --dry-run
      tfleet scale 8 -p tfleet --proxy gpu-box:12480 --json

    \b
    Exit code:
      0    there are N workers, and the proxy has all of them as ready
      1    the engine or the proxy did not answer, or not all is as it should be
      2    wrong usage, or no such project
      130  interrupted; who drains goes on, and its container stays
    """

    def tell(news: ContainerEvent) -> None:
        if not as_json:
            click.echo(printable(str(news)), err=True)

    with quiet_end():
        try:
            with connected() as engine:
                found = workers_of(engine, named=project, service=service, folder=str(Path.cwd()))
                planned, before = plan(found, workers), len(alive(found))
                if dry_run:
                    prospect = Prospect(workers, before, planned)
                    click.echo(json.dumps(prospect.document()) if as_json else "\n".join(prospect.lines()))
                    return
                timeout_s = wait_timeout_s if wait else None
                result = asyncio.run(_scale(engine, workers, found, planned, proxy, service, timeout_s, tell))
        except NoSuchProjectError as error:
            raise CommandRefusedError(str(error)) from error
        except EngineError as error:
            click.echo(printable(str(error)), err=True)
            sys.exit(1)
        except FleetError as error:
            click.echo(f"{with_hint(error)} Nothing was changed.", err=True)
            sys.exit(1)
        _say(result, as_json=as_json)
        if not result.good:
            sys.exit(1)


async def _scale(
    engine: Engine,
    workers: int,
    found: Sequence[Container],
    planned: ScalePlan,
    proxy: tuple[str, ...],
    service: str,
    wait_timeout_s: float | None,
    tell: Tell,
) -> Result:
    """Without `wait_timeout_s` nobody waits. Raises EngineError and, with nothing done yet, FleetError."""
    missing: dict[str, str] = {}
    living = alive(found)
    async with AsyncFleetClient(proxy, timeout_s=_PROXY_TIMEOUT_S) as client:
        if wait_timeout_s is not None:
            await client.workers()
        outcome = await ScaleRun(engine, planned, tell).carry_out()
        wanted = [*(each for each in living if each not in planned.stop), *outcome.started]
        if wanted and wait_timeout_s is not None:
            new = {container.id for container in outcome.started}
            arrival = Arrival(engine, client, wanted, new=new, service=service, tell=tell)
            await arrival.wait(wait_timeout_s)
            missing = arrival.missing
    return Result(
        workers,
        len(living),
        started=tuple(container.name for container in outcome.started),
        stopped=tuple(container.name for container in outcome.stopped),
        failures=tuple(outcome.failures),
        missing=missing,
        waited=wait_timeout_s is not None,
        kept=planned.keep.name if planned.keep is not None else None,
    )


def _say(result: Result, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(result.document()))
    elif result.good:
        click.echo(result.line())
    else:
        for complaint in result.complaints():
            click.echo(printable(complaint), err=True)
