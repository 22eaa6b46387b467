"""The work of `tfleet classify`: many files, their outcomes in order, and a count of both kinds.

`tfleet classify` and `tfleet status`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from tfleet.client.async_client import (
    DEFAULT_CONCURRENCY,
    DEFAULT_TIMEOUT_S,
    DEFAULT_TRY_TIMEOUT_S,
    AsyncFleetClient,
)
from tfleet.client.commands import classify as batch
from tfleet.client.commands import output as render
from tfleet.client.commands import output as screen
from tfleet.client.commands.options import HINT, proxy_option, quiet_end, with_hint
from tfleet.client.commands.output import count
from tfleet.client.concurrency.iterate import pulled
from tfleet.client.concurrency.ordered_map import in_order
from tfleet.client.errors import BadImageError, FleetError, FleetUnavailableError
from tfleet.client.images import files as sources
from tfleet.client.images.files import Unusable
from tfleet.client.proxies.addresses import parse_whereabouts
from tfleet.client.results import Outcome
from tfleet.client.worker_status import worker_statuses
from tfleet.contract.names import DEFAULT_TOP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tfleet.client.async_client import AsyncFleetClient


@dataclass(slots=True)
class OutcomeCount:
    """How many files were classified, how many not, and how many of these because nothing answered."""

    classified: int = 0
    failed: int = 0
    unreachable: int = 0

    def __str__(self) -> str:
        files = count(self.classified + self.failed, "file")
        return f"{files}: {self.classified} classified, {self.failed} failed"

    def add(self, outcome: Outcome[str]) -> None:
        """Count one outcome."""
        if outcome.error is None:
            self.classified += 1
        else:
            self.failed += 1
            self.unreachable += isinstance(outcome.error, FleetUnavailableError)


async def run(
    client: AsyncFleetClient,
    items: Iterator[str | Unusable],
    *,
    concurrency: int,
    show: Callable[[Outcome[str]], None],
) -> OutcomeCount:
    """Classify all the files, `concurrency` at a time, and show each outcome, in the order of the items."""

    async def do(item: str | Unusable) -> Outcome[str]:
        if isinstance(item, Unusable):
            return Outcome(item.name, error=BadImageError(item.reason))
        return await client.outcome(item)

    tally = OutcomeCount()
    async with client, aclosing(in_order(pulled(items), do, concurrency=concurrency)) as outcomes:
        async for outcome in outcomes:
            tally.add(outcome)
            show(outcome)
    return tally


_STATUS_TIMEOUT_S = 10.0
_UNLIMITED_WIDTH = 10_000


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE|FOLDER|-...")
@proxy_option
@click.option(
    "--p2p",
    is_flag=True,
    envvar="TFLEET_P2P",
    show_envvar=True,
    help="Send the images straight to the workers; the proxy only says where they are.",
)
@click.option(
    "--top",
    type=click.IntRange(min=1),
    show_default=f"{DEFAULT_TOP}, or all where the model has fewer",
    envvar="TFLEET_TOP",
    show_envvar=True,
    help="How many labels for each image.",
)
@click.option(
    "--json", "as_json", is_flag=True, envvar="TFLEET_JSON", show_envvar=True, help="One JSON line a file."
)
@click.option(
    "--concurrency",
    type=click.IntRange(min=1, max=1000),
    default=DEFAULT_CONCURRENCY,
    show_default=True,
    envvar="TFLEET_CONCURRENCY",
    show_envvar=True,
    help="How many images at a time.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    default=DEFAULT_TIMEOUT_S,
    show_default=True,
    envvar="TFLEET_TIMEOUT",
    show_envvar=True,
    metavar="SECONDS",
    help="How long one image may take, retries included.",
)
@click.option(
    "--try-timeout",
    "try_timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    default=DEFAULT_TRY_TIMEOUT_S,
    show_default=True,
    envvar="TFLEET_TRY_TIMEOUT",
    show_envvar=True,
    metavar="SECONDS",
    help="With --p2p: how long a worker may let nothing move before another one is tried.",
)
def classify(
    files: tuple[str, ...],
    *,
    proxy: tuple[str, ...],
    p2p: bool,
    top: int | None,
    as_json: bool,
    concurrency: int,
    timeout_s: float,
    try_timeout_s: float,
) -> None:
    """Classify image files with the fleet.

    A folder stands for the images in it and below it (jpg, jpeg, jfif, png, gif, bmp, webp, avif, heic),
    sorted by name; other files are passed over, and counted at the end. A file that is named itself is sent
    whatever it is called. `-` reads file names from standard input, one a line.

    Results come in the order of the files, as soon as they are there: as a table on a terminal; elsewhere as
    tab-separated lines FILE, LABEL, PROBABILITY, one for each label, best first (a tab, a line end or a
    backslash within a field is written \\t, \\n, \\\\); with --json as one JSON object a line for each file.

    \b
    Examples:
      tfleet classify cat.jpg
      tfleet classify photos/ --top 1
      find . -name '*.jpg' | tfleet classify - --json > labels.jsonl
      tfleet classify photos/ --top 1 | cut -f2 | sort | uniq -c | sort -rn
      tfleet classify photos/ --p2p --proxy gpu-box:12480 --concurrency 32
      tfleet classify photos/ --proxy one:12480 --proxy two:12480
      tfleet classify photos/ --proxy consul://127.0.0.1:8500

    \b
    Exit code:
      0    every file was classified
      1    some were not; the others are done, and the reasons are on standard error
      2    wrong usage
      130  interrupted
    """
    with quiet_end():
        many = len(files) > 1 or files[0] == sources.STDIN or Path(files[0]).is_dir()
        bar = many and sys.stderr.isatty()
        client = AsyncFleetClient(
            proxy,
            p2p=p2p,
            timeout_s=timeout_s,
            try_timeout_s=try_timeout_s,
            top=top,
            max_connections=concurrency,
        )
        passed_over = sources.PassedOver()
        items = sources.expand(files, sources.read_stdin, passed_over)
        started = time.monotonic()
        form = screen.form(json=as_json, terminal=sys.stdout.isatty())
        total = _total(files) if bar else None
        with screen.Screen(form, bar=bar, total=total) as display:
            tally = asyncio.run(batch.run(client, items, concurrency=concurrency, show=display.show))
        if many and (tally.failed or sys.stderr.isatty()):
            display.say(f"{tally} in {time.monotonic() - started:.1f} s")
        if passed_over:
            display.say(f"{passed_over}; one that is named itself is sent")
        if tally.unreachable and not tally.classified:
            display.say(HINT)
        if tally.failed:
            sys.exit(1)


@click.command()
@proxy_option
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    envvar="TFLEET_JSON",
    show_envvar=True,
    help="Print the proxy's own document.",
)
def status(*, proxy: tuple[str, ...], as_json: bool) -> None:
    """Show the workers that the proxy knows.

    A worker is starting, ready, ejected (the proxy could not reach it, and tries again) or draining (it
    finishes what it has and takes no more, or an operator has put it into maintenance).

    \b
    Examples:
      tfleet status
      tfleet status --proxy gpu-box:12480
      tfleet status --json | jq -r '.workers[] | select(.state != "ready") | .id'

    \b
    Exit code:
      0  the proxy answered
      1  it did not
      2  wrong usage
    """
    with quiet_end():
        try:
            document = asyncio.run(_workers_document(proxy))
        except FleetError as error:
            click.echo(with_hint(error), err=True)
            sys.exit(1)
        workers = worker_statuses(document)
        if as_json:
            click.echo(json.dumps(document, indent=2))
        elif workers:
            # A pipe has no width to fit into.
            console = Console(highlight=False, width=None if sys.stdout.isatty() else _UNLIMITED_WIDTH)
            console.print(render.status_table(workers, console.width))
        else:
            click.echo(f"{parse_whereabouts(proxy)} knows no workers yet: start one with `tfleet worker`")


async def _workers_document(proxy: tuple[str, ...]) -> dict[str, Any]:
    async with AsyncFleetClient(proxy, timeout_s=_STATUS_TIMEOUT_S) as client:
        return await client.workers_document()


def _total(files: tuple[str, ...]) -> int | None:
    """How many files there will be, for the bar; None if only standard input knows."""
    if sources.STDIN in files:
        return None
    return sum(1 for _ in sources.expand(files, sources.read_stdin))
