"""`tfleet jobs`: look at the jobs in Redis, and decide about dead ones."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

import click
from rich.console import Console
from rich.text import Text

from tfleet.client.commands.table import Row, TableLayout, render_rows
from tfleet.client.text import count, printable
from tfleet.discovery.options import json_option, service_option
from tfleet.jobs.connect import shards_of
from tfleet.jobs.document import job_document
from tfleet.jobs.errors import JobsUnavailableError
from tfleet.jobs.job import JobRecord, JobState
from tfleet.jobs.options import DEFAULT_TIMEOUT_S, jobs_option
from tfleet.jobs.redis_url import RedisUrl
from tfleet.jobs.shard import Shard

_UNLIMITED_WIDTH: Final = 10_000
_MOST: Final = 1_000_000
_LAYOUT: Final = TableLayout(
    headings=("id", "model", "state", "deliveries", "bytes", "deadline"),
    note="reason",
    lines=((0, 2), (1, 3, 4), (5,)),
    numbers=frozenset({3, 4}),
)

_redis = jobs_option("Redis that keep the jobs.", required=True)
_ids = click.argument("ids", nargs=-1, metavar="[ID]...")
# No variables: what is set for one command must not say that all jobs are dropped.
_all = click.option(
    "--all",
    "every",
    is_flag=True,
    allow_from_autoenv=False,
    help="All dead jobs, instead of some by their ids.",
)
_most = click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    allow_from_autoenv=False,
    help="How many jobs of each Redis to show.",
)

Change = Callable[[Shard, str], Awaitable[JobState | None]]
"""Changes one job if it is dead. Returns the state that it had; None if the shard does not have it."""


@dataclass(slots=True)
class _Changed:
    """What has come of a change. `states` are those of jobs that were not dead."""

    jobs: set[str] = field(default_factory=set)
    states: dict[str, JobState] = field(default_factory=dict)


@click.command("list")
@_redis
@service_option
@_most
@json_option("one JSON document")
def list_jobs(*, jobs: tuple[RedisUrl, ...], service: str, limit: int, as_json: bool) -> None:
    """List the jobs without an answer, those with the nearest deadline first.

    \b
    Exit code:
      0    done
      1    a Redis did not answer
      2    wrong usage
    """
    _print_jobs(jobs, service, limit, dead=False, as_json=as_json)


@click.command()
@_redis
@service_option
@_most
@json_option("one JSON document")
def dead(*, jobs: tuple[RedisUrl, ...], service: str, limit: int, as_json: bool) -> None:
    """List the dead jobs, the oldest first: those at which two workers died, with the reason.

    \b
    Exit code:
      0    done
      1    a Redis did not answer
      2    wrong usage
    """
    _print_jobs(jobs, service, limit, dead=True, as_json=as_json)


@click.command()
@_ids
@_all
@_redis
@service_option
def retry(*, ids: tuple[str, ...], every: bool, jobs: tuple[RedisUrl, ...], service: str) -> None:
    """Queue dead jobs again, for an hour, as if no worker had ever had them.

    \b
    Examples:
      tfleet jobs retry --jobs redis://localhost ID
      tfleet jobs retry --jobs redis://localhost --all

    \b
    Exit code:
      0    done
      1    a Redis did not answer, or a job is not dead
      2    wrong usage
    """

    async def again(shard: Shard, job_id: str) -> JobState | None:
        return await shard.retry(job_id, int(DEFAULT_TIMEOUT_S * 1000))

    _change(ids, every, jobs, service, again, "queued again")


@click.command()
@_ids
@_all
@_redis
@service_option
def drop(*, ids: tuple[str, ...], every: bool, jobs: tuple[RedisUrl, ...], service: str) -> None:
    """Remove dead jobs, with their bodies.

    \b
    Exit code:
      0    done
      1    a Redis did not answer, or a job is not dead
      2    wrong usage
    """
    _change(ids, every, jobs, service, Shard.drop, "dropped")


def _print_jobs(urls: tuple[RedisUrl, ...], service: str, limit: int, *, dead: bool, as_json: bool) -> None:
    records: list[JobRecord] = []

    async def look(shard: Shard) -> None:
        records.extend(await shard.list(dead=dead, most=limit))

    away = _asked(urls, service, look)
    if as_json:
        rows = [job_document(record) for record in records]
        click.echo(json.dumps({"jobs": rows, "unavailable": away}, indent=2))
    elif records:
        console = Console(highlight=False, width=None if sys.stdout.isatty() else _UNLIMITED_WIDTH)
        console.print(render_rows(_LAYOUT, [_row(record) for record in records], console.width))
    elif len(away) < len(urls):
        click.echo(f"no {'dead' if dead else 'open'} jobs", err=True)
    _exit(away)


def _change(
    ids: tuple[str, ...], every: bool, urls: tuple[RedisUrl, ...], service: str, change: Change, done: str
) -> None:
    if bool(ids) == every:
        raise click.UsageError("name jobs by their ids, or say --all")
    changed = _Changed()

    async def change_all(shard: Shard) -> None:
        own = [record.id for record in await shard.list(dead=True, most=_MOST)] if every else ids
        for job_id in dict.fromkeys(own):
            state = await change(shard, job_id)
            if state is JobState.DEAD:
                changed.jobs.add(job_id)
            elif state is not None:
                changed.states[job_id] = state

    away = _asked(urls, service, change_all)
    click.echo(f"{count(len(changed.jobs), 'job')} {done}")
    left = [job_id for job_id in dict.fromkeys(ids) if job_id not in changed.jobs]
    _exit([_why_not(job_id, changed.states.get(job_id), away) for job_id in left] + away)


def _why_not(job_id: str, state: JobState | None, away: list[str]) -> str:
    """Why a job was left as it is."""
    if state is None:
        return f"there is no job {job_id}" + (" in a Redis that answers" if away else "")
    return f"{job_id} is not a dead job: it is {state.value}" + (" already" if state.is_open else "")


def _exit(errors: list[str]) -> None:
    """Print errors, and exit with 1 if there are some."""
    for error in errors:
        click.echo(printable(f"tfleet jobs: {error}"), err=True)
    if errors:
        sys.exit(1)


def _asked(urls: tuple[RedisUrl, ...], service: str, ask: Callable[[Shard], Awaitable[None]]) -> list[str]:
    """Asks all shards, and returns a line for each that does not answer: it costs only its own jobs."""

    async def asking(shard: Shard) -> str | None:
        try:
            await ask(shard)
        except JobsUnavailableError as error:
            return str(error)
        finally:
            await shard.connection.close()
        return None

    async def asking_all() -> list[str | None]:
        return await asyncio.gather(*map(asking, shards_of(urls, service)))

    return [error for error in asyncio.run(asking_all()) if error is not None]


def _row(record: JobRecord) -> Row:
    document = job_document(record)
    cells = (
        record.id,
        f"{record.target.model}/{record.target.version}",
        record.state.value,
        str(record.delivery.count),
        str(record.body_bytes),
        str(document["deadline"]),
    )
    return Row(tuple(Text(printable(cell)) for cell in cells), Text(printable(record.reason)))
