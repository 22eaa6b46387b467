"""`tfleet scale`."""

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
from tfleet.client.errors import FleetError
from tfleet.client.printable import printable
from tfleet.client.proxy_option import proxy_option, with_hint
from tfleet.client.quiet_end import quiet_end
from tfleet.deploy.refusal import RefusedError
from tfleet.deploy.scaling.arrival import Arrival
from tfleet.deploy.scaling.change import Change, Outcome
from tfleet.deploy.scaling.container import Container
from tfleet.deploy.scaling.engine import Engine, EngineError, connected
from tfleet.deploy.scaling.news import News
from tfleet.deploy.scaling.options import project_option, service_option
from tfleet.deploy.scaling.plan import Plan, alive, plan
from tfleet.deploy.scaling.project import NoSuchProjectError, workers_of

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
    """Have N workers of the fleet that `docker compose up` started.

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
      130  interrupted; what was begun goes on, but is not removed when it is drained
    """
    with quiet_end():
        request = _Request(workers, proxy, service, wait_timeout_s if wait else None, as_json=as_json)
        try:
            with connected() as engine:
                containers = workers_of(engine, named=project, service=service, folder=str(Path.cwd()))
                planned = plan(containers, workers)
                if dry_run:
                    _show(planned, containers, request)
                    return
                result = asyncio.run(_scale(engine, planned, containers, request))
        except NoSuchProjectError as error:
            raise RefusedError(str(error)) from error
        except EngineError as error:
            click.echo(str(error), err=True)
            sys.exit(1)
        except FleetError as error:
            click.echo(f"{with_hint(error)} Nothing was changed.", err=True)
            sys.exit(1)
        _report(result, request)


@dataclass(frozen=True, slots=True)
class _Request:
    """What was asked for. Without `wait_timeout_s` nobody waits."""

    workers: int
    proxy: tuple[str, ...]
    service: str
    wait_timeout_s: float | None
    as_json: bool

    def tell(self, news: News) -> None:
        """Say it, unless a program reads."""
        if not self.as_json:
            click.echo(str(news), err=True)


@dataclass(frozen=True, slots=True)
class _Result:
    before: int
    outcome: Outcome
    missing: dict[str, str]
    kept: str | None


async def _scale(
    engine: Engine, planned: Plan, containers: Sequence[Container], request: _Request
) -> _Result:
    """Raises EngineError and, where nothing was done yet, FleetError."""
    async with AsyncFleetClient(request.proxy, timeout_s=_PROXY_TIMEOUT_S) as client:
        if request.wait_timeout_s is not None:
            await client.workers()
        outcome = await Change(engine, planned, request.tell).carry_out()
        leaving = {container.id for container in planned.stop}
        wanted = [*(each for each in alive(containers) if each.id not in leaving), *outcome.started]
        missing: dict[str, str] = {}
        if wanted and request.wait_timeout_s is not None:
            new = {container.id for container in outcome.started}
            arrival = Arrival(engine, client, wanted, new=new, service=request.service, tell=request.tell)
            await arrival.wait(request.wait_timeout_s)
            missing = arrival.missing
    kept = planned.keep.name if planned.keep is not None else None
    return _Result(len(alive(containers)), outcome, missing, kept)


def _show(planned: Plan, containers: Sequence[Container], request: _Request) -> None:
    """What would be done."""
    start = [container.name for container in planned.start]
    stop = [container.name for container in planned.stop]
    before = len(alive(containers))
    if request.as_json:
        document = {"workers": request.workers, "before": before, "start": start, "new": planned.new}
        click.echo(json.dumps({**document, "stop": stop}))
        return
    for name in start:
        click.echo(f"would start {name}")
    for number in planned.new:
        click.echo(f"would make and start number {number}, like {planned.pattern.name}")
    for name in stop:
        click.echo(f"would drain {name}" + ("" if _is_kept(planned, name) else " and remove it"))
    if not planned:
        click.echo(f"nothing to do: {_count(before)} already")


def _is_kept(planned: Plan, name: str) -> bool:
    return planned.keep is not None and planned.keep.name == name


def _report(result: _Result, request: _Request) -> None:
    """The end; the exit code is 1 where something is wrong."""
    outcome, missing = result.outcome, result.missing
    good = not outcome.failures and not missing
    if request.as_json:
        click.echo(json.dumps(_document(result, request)))
    else:
        for name, reason in missing.items():
            click.echo(printable(f"{name} is not ready: {reason}"), err=True)
        if good and request.workers:
            state = "ready" if request.wait_timeout_s is not None else "there or starting"
            click.echo(f"{_count(request.workers)} {state} ({result.before} before)")
        elif good:
            kept = (
                f"; {result.kept} is kept, stopped, for the next ones to be made like it"
                if result.kept
                else ""
            )
            click.echo(f"no worker is left: requests are answered with 503 until `tfleet scale N`{kept}")
    if not good:
        sys.exit(1)


def _document(result: _Result, request: _Request) -> dict[str, Any]:
    outcome = result.outcome
    return {
        "workers": request.workers,
        "before": result.before,
        "started": sorted(container.name for container in outcome.started),
        "stopped": sorted(container.name for container in outcome.stopped),
        "not_ready": result.missing,
        "failures": outcome.failures,
    }


def _count(workers: int) -> str:
    return "1 worker is" if workers == 1 else f"{workers} workers are"
