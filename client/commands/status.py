"""`tfleet status`."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any, Final

import click
from rich.console import Console

from tfleet.client.async_client import AsyncFleetClient
from tfleet.client.commands.job_lines import job_lines
from tfleet.client.commands.options import proxy_option, with_hint
from tfleet.client.commands.output import status_table
from tfleet.client.commands.refused import refused_lines
from tfleet.client.commands.stand_ins import stand_in_lines
from tfleet.client.errors import FleetError
from tfleet.client.proxies.addresses import parse_proxies
from tfleet.client.text import printable
from tfleet.client.worker_status import worker_statuses
from tfleet.discovery.options import json_option
from tfleet.runtime.clean_exit import clean_exit

_STATUS_TIMEOUT_S: Final = 10.0
_UNLIMITED_WIDTH: Final = 10_000


@click.command()
@proxy_option
@json_option("the proxy's JSON document")
def status(*, proxy: tuple[str, ...], as_json: bool) -> None:
    """Show the workers that the proxy knows.

    A worker is starting, ready, ejected (requests to it failed; the proxy probes it until it answers) or
    draining (it finishes its requests and gets no new ones, or it is in maintenance). An ejected worker gets
    no requests; one that was only late gets them when no other worker is left.

    Below the workers there is a line for each version that gets requests by its model's plan and has no ready
    worker, with the version that stands in for it, and one for each version that a `tfleet up --models` can't
    use, with the reason. A fleet with jobs has a line for each Redis that keeps them.

    \b
    Examples:
      tfleet status
      tfleet status --proxy gpu-box:12480
      tfleet status --json | jq -r '.workers[] | select(.state != "ready") | .id'

    \b
    Exit code:
      0  the proxy answered
      1  the proxy did not answer
      2  wrong usage
    """
    with clean_exit():
        try:
            document = asyncio.run(_workers_document(proxy))
        except FleetError as error:
            click.echo(with_hint(error), err=True)
            sys.exit(1)
        workers = worker_statuses(document)
        if as_json:
            click.echo(json.dumps(document, indent=2))
            return
        if workers:
            # A pipe has no width: long ids must not be cut.
            console = Console(highlight=False, width=None if sys.stdout.isatty() else _UNLIMITED_WIDTH)
            console.print(status_table(workers, console.width))
        else:
            click.echo(f"{parse_proxies(proxy)} knows no workers yet: start one with `tfleet worker`")
        for line in (*stand_in_lines(document), *refused_lines(document), *job_lines(document)):
            click.echo(printable(line))


async def _workers_document(proxy: tuple[str, ...]) -> dict[str, Any]:
    async with AsyncFleetClient(proxy, timeout_s=_STATUS_TIMEOUT_S) as client:
        return await client.workers_document()
