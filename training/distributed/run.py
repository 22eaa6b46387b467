"""A whole run on this machine: meet the other machines, run the script, export the model."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tfleet.contract.address import Address
from tfleet.discovery.consul.key_values import ConsulKeyValues
from tfleet.discovery.registration.advertise import advertised
from tfleet.discovery.registry import StaticRegistry
from tfleet.training.distributed import places
from tfleet.training.distributed.errors import CannotTrainError, TrainingFailedError
from tfleet.training.distributed.meeting import WAIT_S, TrainingRun, meeting
from tfleet.training.distributed.options import TrainOptions
from tfleet.training.distributed.places import MachinePlace
from tfleet.training.distributed.processes import run_ranks
from tfleet.training.distributed.rank_job import SAVED, WRITING, RankJob
from tfleet.training.model_versions import unwritable

_NEEDED: Final = ("jax", "keras")


@dataclass(frozen=True, slots=True)
class Trained:
    """How a run ended on this machine. `source` is the file that the script saved last, and `version` the
    folder of the exported model; both are None where nothing was to export.
    """

    place: MachinePlace
    source: str | None = None
    version: Path | None = None


def train(
    script: Path,
    arguments: tuple[str, ...],
    options: TrainOptions,
    say: Callable[[str], None],
    show: Callable[[str], None],
) -> Trained:
    """Run the script, and export its model on the first machine.

    `say` gets the steps of the run, `show` the lines of this machine's first process. Raises
    CannotTrainError, TrainingFailedError, RegistryError, StoppedError and OSError.
    """
    _check_modules()
    with tempfile.TemporaryDirectory(prefix="tfleet-train-") as work:
        try:
            place = asyncio.run(_run(_TrainScript(script, arguments, work), options, say, show))
        finally:
            remove_unfinished(Path(work))
        if place.number or not options.model.export:
            return Trained(place)
        return _exported(place, Path(work, SAVED), _model_folder(options, script), say)


def remove_unfinished(work: Path) -> None:
    """Remove the file that a killed process was writing, if there is one."""
    with suppress(OSError):
        Path((work / WRITING).read_text(encoding="utf-8")).unlink()


@dataclass(frozen=True, slots=True)
class _TrainScript:
    path: Path
    arguments: tuple[str, ...]
    work: str


async def _run(
    script: _TrainScript, options: TrainOptions, say: Callable[[str], None], show: Callable[[str], None]
) -> MachinePlace:
    """Run the script with all other machines. This machine's place."""
    async with _place(options, script.path) as place:
        if options.model.export and place.number == 0:
            _check_tensorflow()
            _check_folder(_model_folder(options, script.path))
        if place.machines > 1:
            say(f"machine {place.number} of {place.machines} (from 0), first at {place.coordinator}")
        await run_ranks(list(_jobs(script, place, options)), os.environ, show)
        return place


def _jobs(script: _TrainScript, place: MachinePlace, options: TrainOptions) -> Iterator[RankJob]:
    for rank in place.ranks(options.processes):
        yield RankJob(
            argv=(str(script.path), *script.arguments),
            rank=rank,
            processes=place.machines * options.processes,
            coordinator=str(place.coordinator),
            host=place.host,
            work=script.work,
            seed=options.seed,
            join_timeout_s=options.machines.join_timeout_s,
        )


@asynccontextmanager
async def _place(options: TrainOptions, script: Path) -> AsyncIterator[MachinePlace]:
    """This machine's place in the run, until the end of the block."""
    given = options.machines
    if given.hosts:
        yield places.listed(given.hosts, given.rank, given.port)
        return
    if given.machines is None:
        yield places.alone()
        return
    registry = options.registry.chosen()
    if isinstance(registry, StaticRegistry):
        raise CannotTrainError("machines can't meet by a static registry: give --hosts instead")
    host = given.address or advertised(Address("0.0.0.0", 1), None, registry.address).host  # noqa: S104
    here = Address(host, places.free_port(host))
    run = TrainingRun(options.registry.service, given.run or script.stem, given.machines, options.processes)
    store = ConsulKeyValues(registry.address, wait_s=WAIT_S, access=registry.access)
    try:
        async with meeting(store, run, here, given.join_timeout_s) as place:
            yield place
    finally:
        await store.close()


def _check_modules() -> None:
    """Raises ModuleNotFoundError, which names the extra: see `deploy/lazy_commands.py`."""
    for name in _NEEDED:
        if importlib.util.find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def _check_tensorflow() -> None:
    if importlib.util.find_spec("tensorflow") is None:
        raise CannotTrainError(
            "the first machine exports the model by TensorFlow: pip install 'tfleet[worker]', or give "
            "--no-export"
        )


def _check_folder(model: Path) -> None:
    if there := unwritable(model):
        raise CannotTrainError(
            f"{there}: is no folder that can be written to: choose another --models, or give --no-export"
        )


def _model_folder(options: TrainOptions, script: Path) -> Path:
    return options.model.models / (options.model.name or script.stem)


def _exported(place: MachinePlace, saved: Path, model: Path, say: Callable[[str], None]) -> Trained:
    from tfleet.training.distributed.export import export  # noqa: PLC0415 - needs the worker's packages

    source = next(saved.iterdir(), None) if saved.is_dir() else None
    if source is None:
        raise TrainingFailedError(
            "the script has saved no model, and there is nothing to export: let it call "
            "model.save('model.keras') at its end, or give --no-export"
        )
    return Trained(place, source.name, export(source, model, say))
