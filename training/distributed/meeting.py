"""Machines find each other by a registry: each takes a number, and waits for the others.

The keys are `tfleet/SERVICE/training/RUN/0`, `.../1` and so on, written with check-and-set: a number that is
taken is taken, and no lock is needed. A machine removes its key when it ends. One that is killed cannot, and
its run's name is used up.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any, Final

from tfleet.contract.address import Address, address_of
from tfleet.contract.identifiers import escaped
from tfleet.discovery.consul.key_values import ConsulKeyValues, KeyValueStore, StoredValue
from tfleet.discovery.errors import RegistryError
from tfleet.discovery.plan import key_segment, service_prefix
from tfleet.training.distributed.errors import CannotTrainError, TrainingFailedError
from tfleet.training.distributed.places import MachinePlace

WAIT_S: Final = 5.0
_MAX_ENTRY_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class MachineEntry:
    """What a machine says of itself: where its first process would listen, and how the run is shaped."""

    host: str
    port: int
    machines: int
    processes: int
    id: str

    @property
    def address(self) -> Address:
        return Address(self.host, self.port)


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """The run that machines meet for."""

    service: str
    name: str
    machines: int
    processes: int

    @property
    def prefix(self) -> str:
        return f"{service_prefix(self.service)}training/{key_segment(self.name)}/"

    def key(self, number: int) -> str:
        return f"{self.prefix}{number}"


@asynccontextmanager
async def meeting(
    store: ConsulKeyValues, run: TrainingRun, here: Address, timeout_s: float
) -> AsyncIterator[MachinePlace]:
    """This machine's place, as soon as all machines are there; its key goes at the end.

    Raises CannotTrainError, TrainingFailedError where the others do not come, and RegistryError.
    """
    entry = MachineEntry(here.host, here.port, run.machines, run.processes, uuid.uuid4().hex)
    number = await _take(store, run, entry)
    try:
        yield await _wait(store, run, number, timeout_s)
    finally:
        with suppress(RegistryError):  # the message of what ended the run matters more
            found = (await store.below(run.prefix, 0, WAIT_S)).values.get(run.key(number))
            if found is not None and _parsed(found) == entry:
                await store.delete(run.key(number), cas=found.modify_index)


async def _take(store: KeyValueStore, run: TrainingRun, entry: MachineEntry) -> int:
    document = json.dumps(asdict(entry)).encode()
    for number in range(run.machines):
        if await store.put(run.key(number), document, cas=0):
            return number
    taken = (await store.below(run.prefix, 0, WAIT_S)).values
    raise CannotTrainError(
        f"run {escaped(run.name)} has its {run.machines} machines already: {_hosts(_entries(run, taken))}; "
        "if they were killed, give this one another --run"
    )


async def _wait(store: KeyValueStore, run: TrainingRun, number: int, timeout_s: float) -> MachinePlace:
    deadline_s = time.monotonic() + timeout_s
    seen: set[int] = set()
    index = 0
    while (left_s := deadline_s - time.monotonic()) > 0:
        answer = await store.below(run.prefix, index, min(WAIT_S, left_s))
        index = answer.index if answer.index >= index else 0
        entries = _entries(run, answer.values)
        _check(run, entries)
        if len(entries) == run.machines:
            first = entries[0]
            return MachinePlace(number, run.machines, entries[number].host, first.address)
        # A later machine may be started again. The earlier ones were there before this one.
        if gone := sorted(each for each in seen - entries.keys() if each < number):
            raise TrainingFailedError(
                f"machine {gone[0]} of run {escaped(run.name)} has left before it began"
            )
        seen |= entries.keys()
    raise TrainingFailedError(
        f"waited {timeout_s:g} s for the {run.machines} machines of run {escaped(run.name)}: {len(entries)} "
        f"came ({_hosts(entries)})"
    )


def _check(run: TrainingRun, entries: Mapping[int, MachineEntry]) -> None:
    for number, entry in entries.items():
        shape = entry.machines, entry.processes
        if shape != (run.machines, run.processes):
            raise CannotTrainError(
                f"machine {number} of run {escaped(run.name)} ({entry.host}) was started with --machines "
                f"{entry.machines} --processes {entry.processes}: give all machines the same"
            )


def _entries(run: TrainingRun, values: Mapping[str, StoredValue]) -> dict[int, MachineEntry]:
    """The machines by their numbers. Raises CannotTrainError for a key of somebody else."""
    keys = {run.key(number): number for number in range(run.machines)}
    return {keys[key]: _parsed(value) for key, value in values.items() if key in keys}


def _parsed(stored: StoredValue) -> MachineEntry:
    try:
        fields: Any = json.loads(stored.value) if len(stored.value) <= _MAX_ENTRY_BYTES else None
        entry = MachineEntry(**fields)
    except (ValueError, TypeError, RecursionError):
        entry = None
    if entry is None or address_of(entry.host, entry.port) is None:
        raise CannotTrainError(
            "the registry has a machine of this run that can't be read: give another --run"
        )
    return entry


def _hosts(entries: Mapping[int, MachineEntry]) -> str:
    return ", ".join(str(entry.address) for _, entry in sorted(entries.items()))
