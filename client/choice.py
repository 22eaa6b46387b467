"""One worker of many, as people name it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from tfleet.client.printable import printable

if TYPE_CHECKING:
    from tfleet.client.worker_status import WorkerStatus

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
