"""`tfleet classify`."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfleet.client.async_client import DEFAULT_CONCURRENCY, AsyncFleetClient
from tfleet.client.commands.options import HINT, proxy_option
from tfleet.client.commands.output import Screen, output_format
from tfleet.client.concurrency.iterate import items_on_demand
from tfleet.client.concurrency.ordered_map import in_order
from tfleet.client.errors import BadImageError, FleetUnavailableError
from tfleet.client.fleet_calls import DEFAULT_TIMEOUT_S, DEFAULT_TRY_TIMEOUT_S
from tfleet.client.images.files import STDIN, SkippedFiles, Unusable, expand, read_stdin
from tfleet.client.results import Outcome
from tfleet.client.routes.named_model import NamedModel
from tfleet.client.text import count
from tfleet.contract.names import DEFAULT_TOP
from tfleet.discovery.options import OPTIONS, json_option, take_options
from tfleet.runtime.clean_exit import clean_exit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(slots=True)
class OutcomeCount:
    """Counts the files that were classified and those that failed; `unreachable` of them because nothing
    answered.
    """

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
    """Classify all files, `concurrency` at a time, and show each outcome in the order of the files."""

    async def classify_one(item: str | Unusable) -> Outcome[str]:
        if isinstance(item, Unusable):
            return Outcome(item.name, error=BadImageError(item.reason))
        return await client.outcome(item)

    outcome_count = OutcomeCount()
    async with (
        client,
        aclosing(in_order(items_on_demand(items), classify_one, concurrency=concurrency)) as outcomes,
    ):
        async for outcome in outcomes:
            outcome_count.add(outcome)
            show(outcome)
    return outcome_count


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE|FOLDER|-...")
@proxy_option
@click.option(
    "--p2p",
    is_flag=True,
    help="Send images directly to the workers that the proxy names.",
)
@click.option(
    "--top",
    type=click.IntRange(min=1),
    show_default=f"{DEFAULT_TOP}, or all where the model has fewer",
    help="Number of labels for each image.",
)
@click.option(
    "--model",
    metavar="NAME",
    allow_from_autoenv=False,  # a worker's variable of this name is a path
    help="Ask this model of the fleet, not the default one.",
)
@click.option(
    "--model-version",
    "version",
    metavar="VERSION",
    allow_from_autoenv=False,
    help="With --model: only this version of it.",
)
@click.option(
    "--label",
    metavar="LABEL",
    allow_from_autoenv=False,
    help="With --model: only the version that has this label.",
)
@json_option("one JSON object a line for each file")
@click.option(
    "--concurrency",
    type=click.IntRange(min=1, max=1000),
    default=DEFAULT_CONCURRENCY,
    show_default=True,
    help="Number of concurrent requests.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    default=DEFAULT_TIMEOUT_S,
    show_default=True,
    metavar="SECONDS",
    help="Time limit for one image, including retries.",
)
@click.option(
    "--try-timeout",
    "try_timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    default=DEFAULT_TRY_TIMEOUT_S,
    show_default=True,
    metavar="SECONDS",
    help="With --p2p: try another worker when one makes no progress for this long.",
)
def classify(files: tuple[str, ...], **options: Any) -> None:
    """Classify image files with the fleet.

    A folder stands for the images in it and below it (jpg, jpeg, jfif, png, gif, bmp, webp, avif, heic),
    sorted by name; other files are skipped, and counted at the end. A file that is named itself is always
    sent. `-` reads file names from standard input, one a line.

    Results are printed in the order of the files, as soon as they arrive: as a table on a terminal; otherwise
    as tab-separated lines FILE, LABEL, PROBABILITY, one for each label, best first (a tab, a line end or a
    backslash in a field is written \\t, \\n, \\\\); with --json as one JSON object a line for each file.

    \b
    Examples:
      tfleet classify cat.jpg
      tfleet classify photos/ --top 1
      find . -name '*.jpg' | tfleet classify - --json > labels.jsonl
      tfleet classify photos/ --top 1 | cut -f2 | sort | uniq -c | sort -rn
      tfleet classify photos/ --p2p --proxy gpu-box:12480 --concurrency 32
      tfleet classify photos/ --proxy one:12480 --proxy two:12480
      tfleet classify photos/ --proxy consul://127.0.0.1:8500
      tfleet classify photos/ --model flowers --label prod

    \b
    Exit code:
      0    every file was classified
      1    some failed; the others are done, and the reasons are on standard error
      2    wrong usage
      130  interrupted
    """
    with clean_exit():
        try:
            asked = take_options(ClassifyOptions, options)
        except ValueError as error:  # a version without its model
            raise click.UsageError(str(error)) from error
        if _classify(files, asked).failed:
            sys.exit(1)


@dataclass(frozen=True, slots=True)
class ClassifyOptions:
    """The command line; times are in seconds."""

    proxy: tuple[str, ...]
    p2p: bool
    top: int | None
    as_json: bool
    concurrency: int
    timeout_s: float
    try_timeout_s: float
    asked: NamedModel = field(metadata={OPTIONS: NamedModel})

    def client(self) -> AsyncFleetClient:
        """A client with these options."""
        return AsyncFleetClient(
            self.proxy,
            p2p=self.p2p,
            timeout_s=self.timeout_s,
            try_timeout_s=self.try_timeout_s,
            top=self.top,
            max_connections=self.concurrency,
            model=self.asked.model,
            version=self.asked.version,
            label=self.asked.label,
        )


def _classify(files: tuple[str, ...], options: ClassifyOptions) -> OutcomeCount:
    """Classify the files, print the results and then the summary."""
    many = len(files) > 1 or files[0] == STDIN or Path(files[0]).is_dir()
    bar = many and sys.stderr.isatty()
    skipped = SkippedFiles()
    items = expand(files, read_stdin, skipped)
    started = time.monotonic()
    total = _total(files) if bar else None
    with Screen(
        output_format(json=options.as_json, terminal=sys.stdout.isatty()), bar=bar, total=total
    ) as display:
        classified = asyncio.run(
            run(options.client(), items, concurrency=options.concurrency, show=display.show)
        )
    # One file's result or error speaks for itself.
    if many and (classified.failed or sys.stderr.isatty()):
        display.say(f"{classified} in {time.monotonic() - started:.1f} s")
    if skipped:
        display.say(f"{skipped}; name a file on the command line to send it anyway")
    # Once at the end, and not with each of a thousand errors; never if some files did reach the fleet.
    if classified.unreachable and not classified.classified:
        display.say(HINT)
    return classified


def _total(files: tuple[str, ...]) -> int | None:
    """The number of files, for the progress bar; None if they come from standard input."""
    if STDIN in files:
        return None
    return sum(1 for _ in expand(files, read_stdin))
