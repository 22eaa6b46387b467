"""The values of `tfleet score`'s options."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from tfleet.bulk.errors import CannotScoreError
from tfleet.bulk.filter import parse_filter
from tfleet.bulk.inputs import ReadOptions
from tfleet.bulk.local_model import LocalModelOptions
from tfleet.bulk.selection import Selection
from tfleet.bulk.sizes import ResolvedSizes, SizeOptions
from tfleet.client.async_client import AsyncFleetClient
from tfleet.client.routes.named_model import NamedModel
from tfleet.discovery.options import OPTIONS
from tfleet.worker.model.graph_options import GraphOptions


@dataclass(frozen=True, slots=True)
class SelectionOptions:
    """Which rows are scored."""

    filter_text: str | None
    sample: float | None
    seed: int
    limit: int | None

    def chosen(self) -> Selection:
        """The selection. Raises CannotScoreError for a filter that is none."""
        condition = None if self.filter_text is None else parse_filter(self.filter_text)
        return Selection(condition, self.sample, self.seed, self.limit)


@dataclass(frozen=True, slots=True)
class FleetOptions:
    """The fleet to ask instead of a model in this process, if there is one."""

    fleet: tuple[str, ...]
    fleet_model: str | None
    concurrency: int

    def client(self, model: NamedModel) -> AsyncFleetClient:
        """A client that asks workers directly."""
        return AsyncFleetClient(
            self.fleet,
            p2p=True,
            max_connections=self.concurrency,
            model=model.model,
            version=model.version,
        )

    def named(self) -> NamedModel:
        """The model that is asked. Raises CannotScoreError for a name that can't be."""
        name, _, version = (self.fleet_model or "").partition("/")
        try:
            return NamedModel(name or None, version or None)
        except ValueError as error:
            raise CannotScoreError(f"--fleet-model: {error}") from error


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """What runs the scorers: the master of Spark with its settings, or this process."""

    spark: str | None
    spark_conf: tuple[str, ...]

    def check(self, typed: Collection[str]) -> None:
        """Raise CannotScoreError for options of the other engine. `typed` as in `ModelChoice.check`."""
        if self.spark is None:
            if self.spark_conf:
                raise CannotScoreError("--spark-conf goes with --spark, and there is none")
            return
        for name, instead in _NOT_FOR_SPARK.items():
            if name in typed:
                flag = _FLAGS.get(name, _flag(name))
                raise CannotScoreError(f"{flag} is not for --spark: {instead}")


_FLAGS: Final = {"memory_bytes": "--memory", "filter_text": "--filter"}
_NOT_FOR_SPARK: Final = {
    "resume": "its output is there when all of it is, so give a new folder",
    "cpus": "a task has spark.task.cpus",
    "memory_bytes": "executors have spark.executor.memoryOverhead",
    "part_rows": "Spark writes a file for each task",
    "filter_text": "filter the table with Spark first",
    "sample": "sample the table with Spark first",
    "seed": "sample the table with Spark first",
}


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A model that is loaded, or a fleet's, and what asks it."""

    local: LocalModelOptions = field(metadata={OPTIONS: LocalModelOptions})
    fleet: FleetOptions = field(metadata={OPTIONS: FleetOptions})
    engine: EngineOptions = field(metadata={OPTIONS: EngineOptions})

    def check(self, typed: Collection[str]) -> None:
        """Raise CannotScoreError unless there is one model. `typed` are the parameters that were given on the
        command line; others may come from variables that are meant for workers.
        """
        if not self.fleet.fleet:
            if self.local.model is None:
                raise CannotScoreError("give --model or --fleet: which model scores the rows?")
            others = [name for name in ("fleet_model", "concurrency") if name in typed]
            if others:
                raise CannotScoreError(f"{_flag(others[0])} goes with --fleet, and there is none")
            return
        if "model" in typed:
            raise CannotScoreError("give --model or --fleet, and not both: which model scores the rows?")
        graph = (each.name for each in fields(GraphOptions) if each.name != "signature")
        others = [name for name in (*graph, "trust", "cpus") if name in typed]
        if others:
            raise CannotScoreError(
                f"{_flag(others[0])} is for --model: leave it out, or give it to the workers"
            )


def _flag(parameter: str) -> str:
    return f"--{parameter.replace('_', '-')}"


@dataclass(frozen=True, slots=True)
class ScoreOptions:
    """The command line, without the inputs. An `output` that is text is a URL."""

    output: Path | str
    resume: bool
    as_json: bool
    top: int
    model: ModelChoice = field(metadata={OPTIONS: ModelChoice})
    read: ReadOptions = field(metadata={OPTIONS: ReadOptions})
    select: SelectionOptions = field(metadata={OPTIONS: SelectionOptions})
    sizes: SizeOptions = field(metadata={OPTIONS: SizeOptions})

    def settings(self, sizes: ResolvedSizes) -> dict[str, Any]:
        """What the output depends on besides the model and the inputs."""
        return {
            "--top": self.top,
            "--format": self.read.form,
            "--delimiter": self.read.delimiter,
            "--keep": None if self.read.keep is None else list(self.read.keep),
            "--image-column": self.read.image_column,
            "--filter": self.select.filter_text,
            "--sample": self.select.sample,
            "--seed": self.select.seed,
            "--limit": self.select.limit,
            "--memory": self.sizes.memory_bytes,
            "--batch-rows": sizes.batch_rows,
            "--part-rows": sizes.part_rows,
        }
