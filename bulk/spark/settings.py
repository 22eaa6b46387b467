"""What the driver and its Python workers tell each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import pyarrow as pa

from tfleet.bulk.options import FleetOptions
from tfleet.worker.api.protocols.native.layout import Cell
from tfleet.worker.model.graph_options import GraphOptions
from tfleet.worker.model.model_path import ModelUrl
from tfleet.worker.model.signature import TensorInfo

TABLE: Final = "the table"
"""What messages call the input."""
UNREAD: Final = "_tfleet_unread"
"""A column of tables that were read from text: why a row could not be read."""


@dataclass(frozen=True, slots=True)
class ExecutorModel:
    """A model that each Python worker loads.

    `seen_at` is where a relative path leads on the driver, and is tried second. `sha256` is the digest that
    the driver found.
    """

    model: Path | ModelUrl | None
    seen_at: Path | None
    trust: bool
    graph: GraphOptions
    sha256: str

    @property
    def shown(self) -> str:
        """The path or URL, for people."""
        return self.model.shown if isinstance(self.model, ModelUrl) else str(self.seen_at)


@dataclass(frozen=True, slots=True)
class FleetChoice:
    """A fleet that Python workers ask, and a signature of its model; None for the default one."""

    fleet: FleetOptions
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class RowSettings:
    """How rows are scored. `batch_rows` None depends on what the model takes.

    `storages` are those that the URLs of images may be in.
    """

    top: int = 1
    image_column: str | None = None
    storages: frozenset[str] = frozenset()
    batch_rows: int | None = None
    batch_bytes: int = 8_000_000


@dataclass(frozen=True, slots=True)
class TextForm:
    """How the lines of files become rows: as CSV with a delimiter, or as JSON.

    With `all_columns` all are to be kept, so a column that comes later is an error.
    """

    delimiter: str | None
    columns: tuple[str, ...] = ()
    all_columns: bool = False

    @property
    def is_csv(self) -> bool:
        """Whether they are CSV, and not JSON."""
        return self.delimiter is not None


@dataclass(frozen=True, slots=True)
class TaskSettings:
    """All that a task needs.

    `schema` has the columns of the table. With a `text` they are still to be read from lines.
    """

    model: ExecutorModel | FleetChoice
    rows: RowSettings
    schema: pa.Schema
    text: TextForm | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The columns of the table that the model may take."""
        names = self.schema.names if self.text is None else self.text.columns
        return tuple(name for name in names if name != UNREAD)

    def of_version(self, fleet_model: str | None) -> TaskSettings:
        """The same for one version of a fleet's model, whatever is rolled out meanwhile."""
        if fleet_model is None or isinstance(self.model, ExecutorModel):
            return self
        fleet = replace(self.model.fleet, fleet_model=fleet_model)
        return replace(self, model=replace(self.model, fleet=fleet))


@dataclass(frozen=True, slots=True)
class Answers:
    """What a Python worker says of the model: the columns that it gives and takes.

    `label` and `probability` are the columns to count. `fleet_model` is a fleet's `NAME/VERSION`. `infos` and
    `lists` have its inputs, for tables that are read from text.
    """

    predictions: pa.Schema
    taken: pa.Schema
    label: str | None
    probability: str | None
    images: bool
    fleet_model: str | None = None
    infos: Mapping[str, TensorInfo] = field(default_factory=dict)
    lists: Mapping[str, Cell] = field(default_factory=dict)
