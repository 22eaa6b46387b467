"""One worker of many, as people name it. Pure.

`tfleet drain`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final, NoReturn

import click

from tfleet.client.async_client import DEFAULT_CONNECT_TIMEOUT_S, AsyncFleetClient
from tfleet.client.commands.options import proxy_option, quiet_end, with_hint
from tfleet.client.commands.output import count
from tfleet.client.drain import WorkerDrain
from tfleet.client.errors import FleetError
from tfleet.client.http.transport import Transport
from tfleet.client.text import printable
from tfleet.contract.address import Address, BadAddressError

if TYPE_CHECKING:
    from tfleet.client.worker_status import WorkerList, WorkerStatus

_MOST_NAMED: Final = 10


class NoSuchWorkerError(ValueError):
    """No worker is meant, or more than one. The message is one line that names those there are."""


def chosen(workers: Sequence[WorkerStatus], name: str) -> WorkerStatus:
    """The worker with this id, with this address, or with the only id that begins so, in this order.

    Raises NoSuchWorkerError.
    """
    by_id = [worker for worker in workers if worker.id == name]
    by_address = [worker for worker in workers if worker.address == name]
    by_beginning = [worker for worker in workers if name and worker.id.startswith(name)]
    meant = by_id or by_address or by_beginning
    if len(meant) == 1:
        return meant[0]
    if meant:
        how = "the address" if meant is by_address else "the beginning of the id"
        raise NoSuchWorkerError(f"{name!r} is {how} of {len(meant)} workers: {_names(meant)}")
    known = f"the proxy knows {_names(workers)}" if workers else "the proxy knows none"
    raise NoSuchWorkerError(f"no worker {name!r}: {known}")


def _names(workers: Sequence[WorkerStatus]) -> str:
    names = ", ".join(printable(worker.id) for worker in workers[:_MOST_NAMED])
    more = len(workers) - _MOST_NAMED
    return f"{names} and {more} more" if more > 0 else names


_PROXY_TIMEOUT_S: Final = 10.0
_WAIT_TIMEOUT_S: Final = 60.0


@click.command()
@click.argument("worker", metavar="ID")
@proxy_option
@click.option(
    "--wait/--no-wait",
    default=True,
    show_default=True,
    envvar="TFLEET_WAIT",
    show_envvar=True,
    help="Wait until the worker is gone, or only tell it to go.",
)
@click.option(
    "--wait-timeout",
    "wait_timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    default=_WAIT_TIMEOUT_S,
    show_default=True,
    envvar="TFLEET_WAIT_TIMEOUT",
    show_envvar=True,
    metavar="SECONDS",
    help="How long to wait.",
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    envvar="TFLEET_JSON",
    show_envvar=True,
    help="Print one JSON object at the end.",
)
def drain(*, worker: str, proxy: tuple[str, ...], wait: bool, wait_timeout_s: float, as_json: bool) -> None:
    """Take a worker out of the fleet without losing a request.

    ID is the worker's id as `tfleet status` shows it, the beginning of one, or its HOST:PORT. The worker
    leaves the registry, answers for a moment whoever still comes, finishes what it has begun and ends, with
    exit code 0. It has to be reachable from here.

    \b
    Examples:
      tfleet drain tfleet-10.0.0.7-41873-9f86d081
      tfleet drain 10.0.0.7:41873 --no-wait
      tfleet status --json | jq -r '.workers[] | select(.version == "1") | .id' | xargs -n 1 tfleet drain

    \b
    Exit code:
      0    the worker is gone; with --no-wait, it is going
      1    the proxy or the worker did not answer, or the worker is not gone in time; then it goes on draining
      2    wrong usage, or no such worker
      130  interrupted; the worker goes on draining
    """
    with quiet_end():
        try:
            known = asyncio.run(_roster(proxy))
            row = chosen(known.workers, worker)
        except FleetError as error:
            _fail(with_hint(error), code=1)
        except NoSuchWorkerError as error:
            _fail(str(error), code=2)
        who = printable(row.id)

        def tell(in_flight: int) -> None:
            if not as_json:
                click.echo(f"{who} is draining, {count(in_flight, 'request')} in flight", err=True)

        try:
            departure = asyncio.run(_drain(row, known.ticket, tell, wait_timeout_s if wait else None))
        except (FleetError, BadAddressError) as error:
            _fail(printable(str(error)), code=1)
        if as_json:
            click.echo(json.dumps({"id": row.id, "address": row.address, **asdict(departure)}))
        elif departure.gone:
            click.echo(f"{who} is gone, after {departure.seconds:.1f} s")
        elif not wait:
            click.echo(f"{who} is draining")
        if wait and not departure.gone:
            _fail(
                f"{who} is not gone after {wait_timeout_s:g} s{_rest(departure)}; it goes on draining", code=1
            )


@dataclass(frozen=True, slots=True)
class _Departure:
    """How far a worker got; `in_flight` is what it had when it was last asked, None where nobody knows."""

    gone: bool
    in_flight: int | None
    seconds: float


async def _roster(proxy: tuple[str, ...]) -> WorkerList:
    async with AsyncFleetClient(proxy, timeout_s=_PROXY_TIMEOUT_S) as client:
        return await client.roster()


async def _drain(
    worker: WorkerStatus, ticket: str, tell: Callable[[int], None], wait_timeout_s: float | None
) -> _Departure:
    """Raises FleetError and BadAddressError. Without `wait_timeout_s` it does not wait."""
    began_s, gone = time.monotonic(), False
    address = Address.parse(worker.address)
    transport = Transport(connect_timeout_s=DEFAULT_CONNECT_TIMEOUT_S, max_connections=4)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(transport.close)
        one = await stack.enter_async_context(WorkerDrain(transport, worker, address, ticket))
        await one.begin()
        if wait_timeout_s is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_timeout_s):
                    await one.wait_gone(tell)
                    gone = True
        return _Departure(gone, 0 if gone else one.in_flight, round(time.monotonic() - began_s, 3))


def _rest(departure: _Departure) -> str:
    if departure.in_flight is None:
        return ""
    return f", with {count(departure.in_flight, 'request')} in flight when last asked"


def _fail(line: str, *, code: int) -> NoReturn:
    click.echo(line, err=True)
    sys.exit(code)
