"""`score`: a Spark table with predictions."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypedDict, Unpack

import pyarrow as pa
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_type
from pyspark.sql.types import StructField, StructType

from tfleet.bulk.digest import model_digest
from tfleet.bulk.errors import CannotScoreError
from tfleet.bulk.model_columns import columns_to_read
from tfleet.bulk.options import FleetOptions
from tfleet.bulk.row_errors import ERROR_COLUMN
from tfleet.bulk.sources.storage import storage_of
from tfleet.bulk.spark.problems import explained, warnings_of
from tfleet.bulk.spark.settings import (
    TABLE,
    UNREAD,
    Answers,
    ExecutorModel,
    FleetChoice,
    RowSettings,
    TaskSettings,
    TextForm,
)
from tfleet.bulk.spark.tasks import ANSWERS_SCHEMA, AskModel, ScoreRows
from tfleet.bulk.spark.text_rows import ReadRows
from tfleet.worker.api.protocols.problems import names_text, quoted
from tfleet.worker.model.graph_options import GraphOptions
from tfleet.worker.model.model_path import ModelPath
from tfleet.worker.options import ModelOptions

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from tfleet.worker.model.model_path import ModelUrl
    from tfleet.worker.model.spec import Activation

DEFAULT_CONCURRENCY: Final = 8
DEFAULT_BATCH_BYTES: Final = 8_000_000


class GraphArguments(TypedDict, total=False):
    """What describes a model without model.toml; see `tfleet worker --help`."""

    labels: Path | str
    input_layer: str
    output_layer: str
    input_size: int
    input_mean: float
    input_std: float
    activation: Activation
    signature: str


@dataclass(frozen=True, slots=True)
class ScoredTable:
    """A table with predictions, and what is known of the model."""

    frame: DataFrame
    answers: Answers


def score(
    df: DataFrame,
    *,
    model: Path | str | None = None,
    fleet: str | Sequence[str] = (),
    fleet_model: str | None = None,
    concurrency: int = DEFAULT_CONCURRENCY,
    top: int = 1,
    keep: Sequence[str] | None = None,
    image_column: str | None = None,
    images_from: Sequence[str] = (),
    batch_rows: int | None = None,
    batch_bytes: int = DEFAULT_BATCH_BYTES,
    trust: bool = False,
    **graph: Unpack[GraphArguments],
) -> DataFrame:
    """The rows of a table with a model's predictions, and with `_error` for those that can't be scored.

    Args:
        df: The table. The model's columns are found by their names, as `tfleet score` finds them.
        model: What `tfleet worker --model` takes: a path that all executors have, or a URL.
        fleet: Addresses of a fleet's proxy, to ask its workers instead of loading a model.
        fleet_model: Which of the fleet's models, as NAME or NAME/VERSION.
        concurrency: The requests that a task sends to the fleet at a time.
        top: The number of labels for each row, for models that have labels.
        keep: The columns of the table that the result has, too; all by default.
        image_column: For image models: the column with paths of images, or with their bytes.
        images_from: Storages such as `s3://bucket` that the URLs of images may be in. A row comes from
            anybody, so no other host is asked.
        batch_rows: The rows that run together at most; 4,096, and 8 images, by default.
        batch_bytes: The bytes of rows that run together at most.
        trust: Run Python code that is part of the model.
        **graph: What describes a model without model.toml: `labels`, `signature` and so on.

    One task runs at once, and tells what the model takes and answers; everything else is as lazy as Spark is.
    Raises CannotScoreError and ModelError for what can never work.
    """
    addresses = (fleet,) if isinstance(fleet, str) else tuple(fleet)
    choice: ExecutorModel | FleetChoice
    if addresses and model is not None:
        raise CannotScoreError("give a model or a fleet, and not both")
    if addresses:
        choice = _fleet(FleetOptions(addresses, fleet_model, concurrency), graph)
    else:
        path = ModelPath().convert(str(model), None, None) if model is not None else None
        choice = executor_model(path, _graph(graph), trust=trust)
    storages = frozenset(map(storage_of, images_from))
    rows = RowSettings(top, image_column, storages, batch_rows, batch_bytes)
    found = scored_table(df, choice, rows, keep)
    for text in warnings_of(df.sparkSession.conf.get, found.answers):
        warnings.warn(text, stacklevel=2)
    return found.frame


def _fleet(options: FleetOptions, graph: GraphArguments) -> FleetChoice:
    others = [name for name in graph if name != "signature"]
    if others:
        raise CannotScoreError(
            f"{others[0]} describes a model, and the fleet's describes itself: leave it out"
        )
    return FleetChoice(options, graph.get("signature"))


def _graph(arguments: GraphArguments) -> GraphOptions:
    names = GraphArguments.__annotations__
    unknown = sorted(set(arguments) - set(names))
    if unknown:
        raise TypeError(f"score() has no argument {unknown[0]!r}")
    values: dict[str, Any] = dict.fromkeys(names) | dict(arguments)
    if values["labels"] is not None:
        values["labels"] = Path(values["labels"])
    return GraphOptions(**values)


def executor_model(path: Path | ModelUrl | None, graph: GraphOptions, *, trust: bool) -> ExecutorModel:
    """A model for the executors, with the digest of the one that this machine sees. Raises ModelError."""
    spec = ModelOptions(path, trust, graph).find()
    seen_at = path.absolute() if isinstance(path, Path) else None
    return ExecutorModel(path, seen_at, trust, graph, model_digest(spec))


def scored_table(
    df: DataFrame,
    choice: ExecutorModel | FleetChoice,
    rows: RowSettings,
    keep: Sequence[str] | None,
    *,
    text: TextForm | None = None,
    limit: int | None = None,
) -> ScoredTable:
    """The table with predictions for the first `limit` rows. With a `text` it has lines, which become rows.

    Raises CannotScoreError and ModelError.
    """
    there = df.columns if text is None else text.columns
    _check_names(there)
    settings = TaskSettings(choice, rows, _arrow_schema(df), text)
    answers = _ask(df, settings)
    read, kept = columns_to_read(there, keep, answers.taken.names, where=TABLE)
    _check_kept(kept, answers.predictions.names)
    if text is not None:
        reader = ReadRows(text, read, answers.infos, answers.lists)
        schema = from_arrow_schema(reader.result)
        if limit is None:
            task = ScoreRows(settings.of_version(answers.fleet_model), kept, answers.predictions, reader)
            return ScoredTable(df.mapInArrow(task, _output(schema, kept, answers)), answers)
        # Rows are counted, and not lines: they are read first.
        df, read = df.mapInArrow(reader, schema), (*read, UNREAD)
    elif strange := [name for name in read if _arrow_type(df.schema[name]) is None]:
        kinds = ", ".join(f"{quoted(name)} ({df.schema[name].dataType.simpleString()})" for name in strange)
        raise CannotScoreError(
            f"{TABLE} has columns whose types Spark gives no Python worker: {kinds}: leave them out with keep"
        )
    narrow = df.select([_quoted(name) for name in read])
    narrow = narrow if limit is None else narrow.limit(limit)
    settings = replace(settings, schema=_arrow_schema(narrow), text=None).of_version(answers.fleet_model)
    task = ScoreRows(settings, kept, answers.predictions)
    # mapInArrow takes a dot in a column's name for a field of a struct: it gets numbers, the task has names.
    frame = narrow.toDF(*(f"c{number}" for number in range(len(read))))
    return ScoredTable(frame.mapInArrow(task, _output(narrow.schema, kept, answers)), answers)


def _ask(df: DataFrame, settings: TaskSettings) -> Answers:
    one = df.sparkSession.range(0, 1, 1, 1)
    try:
        (row,) = one.mapInArrow(AskModel(settings), ANSWERS_SCHEMA).collect()
    except (PySparkException, Py4JError) as error:
        if (text := explained(str(error))) is None:
            raise
        raise CannotScoreError(text) from error
    if row.error is not None:
        raise CannotScoreError(row.error)
    answers = pickle.loads(row.answers)  # noqa: S301 - of a Python worker, which runs what this process sends
    assert isinstance(answers, Answers)
    return answers


def _arrow_schema(df: DataFrame) -> pa.Schema:
    """The columns as Python workers get them; `null` for those of a type that Arrow does not have."""
    return pa.schema([(each.name, _arrow_type(each) or pa.null()) for each in df.schema.fields])


def _arrow_type(field: StructField) -> pa.DataType | None:
    """The type of a column for Python workers; None for one that they can't get."""
    try:
        return to_arrow_type(field.dataType, timezone="UTC")
    except PySparkException:
        return None


def _output(schema: StructType, kept: Sequence[str], answers: Answers) -> StructType:
    predicted = pa.schema([*answers.predictions, pa.field(ERROR_COLUMN, pa.string())])
    return StructType(
        [
            *(schema[name] for name in kept),
            *(StructField(each.name, each.dataType) for each in from_arrow_schema(predicted)),
        ]
    )


def _check_names(names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise CannotScoreError(f"{TABLE} has several columns called {names_text(twice)}: rename them")


def _check_kept(kept: Sequence[str], predicted: Sequence[str]) -> None:
    """Spark takes names that differ in case only for the same."""
    new = {name.casefold() for name in (*predicted, ERROR_COLUMN)}
    taken = [name for name in kept if name.casefold() in new]
    if taken:
        raise CannotScoreError(
            f"{TABLE} has the column {names_text(taken)}, and the result gets one of that name: leave it out "
            "with keep, or rename it"
        )


def _quoted(name: str) -> str:
    """A column's name as Spark's expressions have it: without quotes a dot would be a field of a struct."""
    return f"`{name.replace('`', '``')}`"
