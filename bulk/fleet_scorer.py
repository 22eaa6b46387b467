"""Scores rows with the workers of a fleet, which are asked directly with Arrow bodies.

A worker that is busy says for how long (429 with Retry-After). The client tries others, and waits; what is
refused all the same waits here, and is sent again. All rows go to one version of the model, whatever is
rolled out meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import pyarrow as pa

from tfleet.bulk.errors import CannotScoreError, RunFailedError
from tfleet.bulk.isolation import RejectedRowsError, score_isolated
from tfleet.bulk.predictions import FleetLabelPredictions, OutputPredictions, PredictionColumns, output_schema
from tfleet.bulk.scorer import ScoredBatch
from tfleet.bulk.sources.csv_cells import cell_type
from tfleet.client.async_client import AsyncFleetClient
from tfleet.client.errors import FleetError, RejectedInputError, TryLaterError
from tfleet.client.sync_client import LoopThread
from tfleet.worker.api.protocols.native.layout import RowLayout, row_layout
from tfleet.worker.model.signature import Signature, TensorInfo

if TYPE_CHECKING:
    from tfleet.bulk.model_columns import ModelColumns

T = TypeVar("T")

PATIENCE_S: Final = 300.0
_PAUSE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class FleetModel:
    """What a fleet says of its model. `labels` is None for one without."""

    name: str
    version: str
    signature: Signature
    columns: tuple[str, ...]
    labels: tuple[str, ...] | None

    def layout(self) -> RowLayout:
        """What its rows are."""
        return row_layout(self.signature, self.columns)


def fleet_model(document: Mapping[str, Any]) -> FleetModel:
    """The model of a worker's document. Raises CannotScoreError for one whose rows cannot be scored."""
    label = f"{document['name']}/{document['version']}"
    if document.get("preprocessing") is not None:
        raise CannotScoreError(f"{label}: takes images: use --model, or `tfleet classify`")
    if document.get("stateful"):
        raise CannotScoreError(
            f"{label}: keeps state between requests: its answers depend on the rows' order"
        )
    name = document.get("default_signature")
    if name is None:
        raise CannotScoreError(f"{label}: has several signatures, and none is the default")
    found = document["signatures"][name]
    signature = Signature(name, _infos(found["inputs"]), _infos(found["outputs"]))
    labels = document.get("labels")
    columns = tuple(document.get("columns") or ())
    return FleetModel(
        document["name"],
        document["version"],
        signature,
        columns,
        None if labels is None else tuple(labels),
    )


def _infos(tensors: Mapping[str, Mapping[str, Any]]) -> tuple[TensorInfo, ...]:
    return tuple(
        TensorInfo(
            name,
            "",
            each["dtype"],
            None if each["shape"] is None else tuple(each["shape"]),
            bool(each.get("optional")),
        )
        for name, each in sorted(tensors.items())
    )


class FleetConnection:
    """A client of the fleet, for threads. `clock` and `sleep` are those of `time`."""

    def __init__(
        self,
        client: AsyncFleetClient,
        *,
        patience_s: float = PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._loop = LoopThread(client.close)
        self._patience_s = patience_s
        self._clock = clock
        self._sleep = sleep

    def __repr__(self) -> str:
        return f"<FleetConnection {self._client!r}>"

    def model(self) -> FleetModel:
        """The model that is asked. Raises CannotScoreError."""
        try:
            return fleet_model(self._loop.run(self._client.model_document))
        except FleetError as error:
            raise CannotScoreError(f"{self._client.proxy}: {error}") from error
        except (KeyError, TypeError) as error:
            raise CannotScoreError(f"{self._client.proxy}: does not say what its model is") from error

    def outputs(self, stream: bytes) -> bytes:
        """The outputs for the rows of a stream. Raises RejectedRowsError and RunFailedError."""
        return self._patiently(lambda: self._loop.run(lambda: self._client.predict_arrow(stream)))

    def labels(self, stream: bytes, top: int) -> Sequence[Any]:
        """The predictions for the rows of a stream. Raises as `outputs` does."""
        call = lambda: self._client.predict_arrow_labels(stream, top)  # noqa: E731 - it is created on the loop
        return self._patiently(lambda: self._loop.run(call)).predictions

    def predictions(self, model: FleetModel, top: int) -> PredictionColumns:
        """The columns of the model's answers. Raises CannotScoreError.

        Only an answer says whether labels have probabilities, so one row of zeros is asked.
        """
        if model.labels is None:
            if top > 1:
                raise CannotScoreError("--top is the number of labels, and the model has none: leave it out")
            return OutputPredictions(output_schema(model.signature))
        try:
            (first,) = self.labels(_stream(zeros(model.layout())), 1)
        except (RejectedRowsError, RunFailedError) as error:
            raise CannotScoreError(f"{model.name}: does not answer a row of zeros: {error}") from error
        return FleetLabelPredictions(first[0].probability is not None, min(top, len(model.labels)))

    def close(self) -> None:
        """End the loop and all connections."""
        self._loop.close()

    def _patiently(self, ask: Callable[[], T]) -> T:
        """The answer; what may succeed later is asked again, for as long as the patience lasts."""
        until_s = self._clock() + self._patience_s
        while True:
            try:
                return ask()
            except RejectedInputError as error:
                raise RejectedRowsError(str(error)) from error
            except FleetError as error:
                asked_s = error.retry_after_s if isinstance(error, TryLaterError) else None
                pause_s = _PAUSE_S if asked_s is None else asked_s
                if self._clock() + pause_s > until_s:
                    raise RunFailedError(f"the fleet does not answer: {error}") from error
                self._sleep(pause_s)


class FleetScorer:
    """Scores with a fleet, in requests of up to `batch_rows`, `concurrency` at a time."""

    def __init__(
        self,
        fleet: FleetConnection,
        columns: ModelColumns,
        predictions: PredictionColumns,
        *,
        batch_rows: int,
        concurrency: int,
    ) -> None:
        self._fleet = fleet
        self.columns = columns
        self.predictions = predictions
        self.most_rows = batch_rows
        self.concurrency = concurrency

    def __repr__(self) -> str:
        return f"<FleetScorer {self._fleet!r} most_rows={self.most_rows}>"

    def score(self, batch: pa.RecordBatch, unread: Mapping[int, str]) -> ScoredBatch:
        """Score the rows, but those that are `unread`. Raises RunFailedError."""
        rows = batch.select(list(self.columns.names))
        return score_isolated(rows, unread, self.predictions.schema, self._ask)

    def _ask(self, rows: pa.RecordBatch) -> list[pa.Array]:
        stream = _stream(rows)
        if isinstance(self.predictions, FleetLabelPredictions):
            return self.predictions.of_answers(
                self._fleet.labels(stream, self.predictions.top), rows.num_rows
            )
        with pa.ipc.open_stream(self._fleet.outputs(stream)) as reader:
            table = reader.read_all().combine_chunks()
        return [plain_column(table, field, rows.num_rows) for field in self.predictions.schema]


def zeros(layout: RowLayout) -> pa.RecordBatch:
    """One row of zeros and empty texts, with all columns that a model takes."""
    columns = {}
    for name in layout.columns or layout.row_names:
        if layout.columns:
            columns[name] = pa.array([0], cell_type(layout.column_info(name)))
            continue
        cell = layout.cells[name]
        value: Any = {"string": "", "bool": False}.get(cell.info.dtype, 0)
        kind = cell_type(cell.info)
        for size in reversed(() if cell.plain else cell.dims):
            value, kind = [value] * (size or 1), pa.list_(kind)
        columns[name] = pa.array([value], kind)
    return pa.record_batch(columns)


def plain_column(table: pa.Table, field: pa.Field, rows: int) -> pa.Array:
    """An output in its type. Raises RunFailedError for an answer without it, or with other rows."""
    if field.name not in table.schema.names or table.num_rows != rows:
        raise RunFailedError(
            f"the fleet's answer has not one value of {field.name!r} for each of {rows} rows"
        )
    column = table.column(field.name).combine_chunks()
    if pa.types.is_fixed_size_list(column.type) and not pa.types.is_nested(field.type):
        column = column.flatten()  # of shape [?, 1]
    return column.cast(field.type)


def _stream(rows: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_batch(rows)
    content: bytes = sink.getvalue().to_pybytes()
    return content
