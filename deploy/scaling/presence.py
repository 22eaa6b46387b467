"""Whether containers are workers that get requests, as engine and proxy have it together. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tfleet.client.worker_status import WorkerStatus
from tfleet.contract.address import Address, BadAddressError
from tfleet.deploy.scaling.container import Container

_READY = "ready"


def ready_workers(
    containers: Iterable[Container], workers: Iterable[WorkerStatus]
) -> Iterator[tuple[Container, WorkerStatus]]:
    """The containers that get requests, each with the proxy's row of the worker in it."""
    ready = {_host(worker): worker for worker in workers if worker.state == _READY}
    for container in containers:
        at_work = [ready[address] for address in container.addresses if address in ready]
        if container.state == "running" and container.health != "unhealthy" and at_work:
            yield container, at_work[0]


def why_not(container: Container | None, workers: Sequence[WorkerStatus]) -> str:
    """Why it gets none, in words."""
    if container is None:
        return "it is gone"
    if container.state != "running":
        return f"it is {container.state}, with exit code {container.exit_code}"
    if container.health == "unhealthy":
        return "it is unhealthy: see `docker inspect`"
    known = [worker for worker in workers if _host(worker) in container.addresses]
    if not known:
        return "the proxy does not know it yet"
    newest = known[-1]  # rows come in the order in which the proxy met them
    return f"the proxy has it as {newest.state}" + (f": {newest.last_error}" if newest.last_error else "")


def broken(container: Container | None) -> bool:
    """Whether one that was just started has ended, perhaps to be started again and again."""
    return container is None or not container.alive or container.restarts > 0


def _host(worker: WorkerStatus) -> str:
    try:
        return Address.parse(worker.address).host
    except BadAddressError:
        return ""
