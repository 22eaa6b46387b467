"""`tfleet jobs`: look at the jobs in Redis, and decide about dead ones."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

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

Change = Callable[[Shard, str], Awaitable[bool]]
"""Changes one job; returns whether the shard had it, and it was dead."""


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

    async def again(shard: Shard, job_id: str) -> bool:
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

    async def remove(shard: Shard, job_id: str) -> bool:
        record = await shard.read(job_id, with_answer=False)
        if record is None or record.state is not JobState.DEAD:
            return False
        return await shard.cancel(job_id) is not None

    _change(ids, every, jobs, service, remove, "dropped")


def _print_jobs(urls: tuple[RedisUrl, ...], service: str, limit: int, *, dead: bool, as_json: bool) -> None:
    async def look(shards: Sequence[Shard]) -> list[JobRecord]:
        return [record for shard in shards for record in await shard.list(dead=dead, most=limit)]

    records = _asked(urls, service, look)
    if as_json:
        click.echo(json.dumps({"jobs": [job_document(record) for record in records]}, indent=2))
        return
    if not records:
        click.echo(f"no {'dead' if dead else 'open'} jobs", err=True)
        return
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _UNLIMITED_WIDTH)
    console.print(render_rows(_LAYOUT, [_row(record) for record in records], console.width))


def _change(
    ids: tuple[str, ...], every: bool, urls: tuple[RedisUrl, ...], service: str, change: Change, done: str
) -> None:
    if bool(ids) == every:
        raise click.UsageError("name jobs by their ids, or say --all")

    async def change_all(shards: Sequence[Shard]) -> tuple[int, list[str]]:
        changed, left = 0, list(ids)
        for shard in shards:
            own = [record.id for record in await shard.list(dead=True, most=_MOST)] if every else list(left)
            for job_id in own:
                if await change(shard, job_id):
                    changed += 1
                    left = [each for each in left if each != job_id]
        return changed, left

    changed, left = _asked(urls, service, change_all)
    click.echo(f"{count(changed, 'job')} {done}")
    for job_id in left:
        click.echo(f"tfleet jobs: {printable(job_id)} is not a dead job", err=True)
    if left:
        sys.exit(1)


def _asked(urls: tuple[RedisUrl, ...], service: str, ask: Callable[[Sequence[Shard]], Awaitable[Any]]) -> Any:
    """What the shards answer; exits with 1 where one of them does not."""

    async def asking() -> Any:
        shards = shards_of(urls, service)
        try:
            return await ask(shards)
        finally:
            for shard in shards:
                await shard.connection.close()

    try:
        return asyncio.run(asking())
    except JobsUnavailableError as error:
        click.echo(printable(f"tfleet jobs: {error}"), err=True)
        sys.exit(1)


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
