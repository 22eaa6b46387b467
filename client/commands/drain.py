"""`tfleet drain`."""

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

from tfleet.client.async_client import AsyncFleetClient
from tfleet.client.commands.options import proxy_option, with_hint
from tfleet.client.drain import WorkerDrain
from tfleet.client.errors import FleetError
from tfleet.client.fleet_calls import DEFAULT_CONNECT_TIMEOUT_S
from tfleet.client.http.transport import Transport
from tfleet.client.text import count, printable
from tfleet.contract.address import Address, BadAddressError
from tfleet.discovery.options import json_option, wait_options
from tfleet.runtime.clean_exit import clean_exit

if TYPE_CHECKING:
    from tfleet.client.worker_status import WorkerList, WorkerStatus

_MAX_NAMED: Final = 10
_PROXY_TIMEOUT_S: Final = 10.0
_WAIT_TIMEOUT_S: Final = 60.0


class NoSuchWorkerError(ValueError):
    """The name fits no worker, or several. The message is one line that lists the known workers."""


def find_worker(workers: Sequence[WorkerStatus], name: str) -> WorkerStatus:
    """The worker with this id, or with this address, or with the only id that begins like this.

    Raises NoSuchWorkerError.
    """
    by_id = [worker for worker in workers if worker.id == name]
    by_address = [worker for worker in workers if worker.address == name]
    by_beginning = [worker for worker in workers if name and worker.id.startswith(name)]
    found = by_id or by_address or by_beginning
    if len(found) == 1:
        return found[0]
    if found:
        how = "the address" if found is by_address else "the start of the id"
        raise NoSuchWorkerError(f"{name!r} is {how} of {len(found)} workers: {_names(found)}")
    known = f"the proxy knows {_names(workers)}" if workers else "the proxy knows none"
    raise NoSuchWorkerError(f"no worker {name!r}: {known}")


def _names(workers: Sequence[WorkerStatus]) -> str:
    names = ", ".join(printable(worker.id) for worker in workers[:_MAX_NAMED])
    more = len(workers) - _MAX_NAMED
    return f"{names} and {more} more" if more > 0 else names


@click.command()
@click.argument("worker", metavar="ID")
@proxy_option
@wait_options("the worker has ended", _WAIT_TIMEOUT_S)
@json_option("one JSON object at the end")
def drain(*, worker: str, proxy: tuple[str, ...], wait: bool, wait_timeout_s: float, as_json: bool) -> None:
    """Shut down one worker without losing a request.

    ID is the worker's id as `tfleet status` shows it, the start of its id, or its HOST:PORT. The worker
    deregisters, still answers requests for a moment, finishes those in flight, and exits with code 0. It has
    to be reachable from here.

    \b
    Examples:
      tfleet drain tfleet-10.0.0.7-41873-9f86d081
      tfleet drain 10.0.0.7:41873 --no-wait
      tfleet status --json | jq -r '.workers[] | select(.version == "1") | .id' | xargs -n 1 tfleet drain

    \b
    Exit code:
      0    the worker has ended; with --no-wait, it is draining
      1    the proxy or the worker did not answer, or the worker did not end in time and goes on draining
      2    wrong usage, or no such worker
      130  interrupted; the worker goes on draining
    """
    with clean_exit():
        try:
            known = asyncio.run(_workers(proxy))
            row = find_worker(known.workers, worker)
        except FleetError as error:
            _fail(with_hint(error), code=1)
        except NoSuchWorkerError as error:
            _fail(str(error), code=2)
        name = printable(row.id)

        def report(in_flight: int) -> None:
            if not as_json:
                click.echo(f"{name} is draining, {count(in_flight, 'request')} in flight", err=True)

        try:
            progress = asyncio.run(_drain(row, known.ticket, report, wait_timeout_s if wait else None))
        except (FleetError, BadAddressError) as error:
            _fail(printable(str(error)), code=1)
        if as_json:
            click.echo(json.dumps({"id": row.id, "address": row.address, **asdict(progress)}))
        elif progress.gone:
            click.echo(f"{name} is gone, after {progress.seconds:.1f} s")
        elif not wait:
            click.echo(f"{name} is draining")
        if wait and not progress.gone:
            rest = _in_flight(progress)
            _fail(f"{name} is not gone after {wait_timeout_s:g} s{rest}; it goes on draining", code=1)


@dataclass(frozen=True, slots=True)
class _DrainProgress:
    """How far a worker has drained; `in_flight` is its last known number of requests, or None."""

    gone: bool
    in_flight: int | None
    seconds: float


async def _workers(proxy: tuple[str, ...]) -> WorkerList:
    async with AsyncFleetClient(proxy, timeout_s=_PROXY_TIMEOUT_S) as client:
        return await client.worker_list()


async def _drain(
    worker: WorkerStatus, ticket: str, report: Callable[[int], None], wait_timeout_s: float | None
) -> _DrainProgress:
    """Raises FleetError and BadAddressError. Without `wait_timeout_s` it does not wait."""
    began_s, gone = time.monotonic(), False
    address = Address.parse(worker.address)
    transport = Transport(connect_timeout_s=DEFAULT_CONNECT_TIMEOUT_S, max_connections=4)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(transport.close)
        drain = await stack.enter_async_context(WorkerDrain(transport, worker, address, ticket))
        await drain.begin()
        if wait_timeout_s is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_timeout_s):
                    await drain.wait_gone(report)
                    gone = True
        return _DrainProgress(gone, 0 if gone else drain.in_flight, round(time.monotonic() - began_s, 3))


def _in_flight(progress: _DrainProgress) -> str:
    if progress.in_flight is None:
        return ""
    return f", with {count(progress.in_flight, 'request')} in flight when last asked"


def _fail(line: str, *, code: int) -> NoReturn:
    click.echo(line, err=True)
    sys.exit(code)
