"""Rows and tensors to send: as JSON, or as an Arrow stream. And what comes back for each row.

pyarrow is imported where Arrow is asked for, or given; a client that sends JSON does without it.
"""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias, get_args

from tfleet.client.body import HeldBody
from tfleet.client.errors import RejectedInputError
from tfleet.client.results import ModelAnswer, RowResult

JSON: Final = "application/json"
ARROW: Final = "application/vnd.apache.arrow.stream"

RowsForm: TypeAlias = Literal["json", "arrow"]
Row: TypeAlias = Mapping[str, Any] | Sequence[Any]
"""A row: values by the names of columns or inputs, or a list of values for a model whose columns have none.

Values may be of NumPy's types; bytes are sent in base64.
"""


@dataclass(frozen=True, slots=True)
class RowBatch:
    """Rows of one request: the `first` and how many, counted from 0 over all requests."""

    first: int
    count: int
    body: HeldBody = field(repr=False)

    @property
    def span(self) -> str:
        """Which rows these are, for an error."""
        return f"rows {self.first} to {self.first + self.count - 1}"


def json_body(inputs: object) -> HeldBody:
    """Inputs as JSON. Raises RejectedInputError for a value that JSON cannot hold."""
    try:
        return HeldBody(JSON, json.dumps(inputs, default=_plain, separators=(",", ":")).encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise RejectedInputError(f"the inputs can't be sent as JSON: {error}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, bytes | bytearray | memoryview):
        return {"b64": base64.b64encode(value).decode()}
    to_list = getattr(value, "tolist", None)  # NumPy's scalars and arrays
    if to_list is None:
        raise TypeError(f"{type(value).__name__} is no number, string, list or array")
    return to_list()


def batches(rows: Any, form: RowsForm, size: int) -> Iterator[RowBatch]:
    """The rows in requests of up to `size`. May block, where `rows` does. Raises as `json_body` does.

    `rows` are an iterable of rows or, for Arrow, also pyarrow's tables, record batches and readers of them.
    """
    first = 0
    for count, body in _arrow_bodies(rows, size) if form == "arrow" else _json_bodies(rows, size):
        yield RowBatch(first, count, body)
        first += count


def _json_bodies(rows: Iterable[Row], size: int) -> Iterator[tuple[int, HeldBody]]:
    for some in _in_lists(rows, size):
        yield len(some), json_body(some)


def _arrow_bodies(rows: Any, size: int) -> Iterator[tuple[int, HeldBody]]:
    pa = _pyarrow()
    if isinstance(rows, pa.RecordBatch):
        rows = pa.Table.from_batches([rows])
    if isinstance(rows, pa.Table):
        tables = (rows.slice(start, size) for start in range(0, rows.num_rows, size))
    elif isinstance(rows, pa.RecordBatchReader):
        read = (pa.Table.from_batches([batch]) for batch in rows)
        tables = (table.slice(start, size) for table in read for start in range(0, table.num_rows, size))
    else:
        tables = (pa.Table.from_pylist(list(some)) for some in _in_lists(rows, size))
    for table in tables:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        yield table.num_rows, HeldBody(ARROW, sink.getvalue().to_pybytes())


def _in_lists(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    iterator = iter(rows)
    while some := list(itertools.islice(iterator, size)):
        yield some


def chosen_form(rows: object, form: RowsForm | None) -> RowsForm:
    """The form to send rows in: the stated one, or Arrow for rows of pyarrow's, or JSON.

    Raises RuntimeError where pyarrow is missing, and ValueError for another form.
    """
    if form is None:
        form = "arrow" if type(rows).__module__.partition(".")[0] == "pyarrow" else "json"
    if form not in get_args(RowsForm):
        raise ValueError(f"form is {form!r}, and must be json or arrow")
    if form == "arrow":
        _pyarrow()
    return form


def of_batch(batch: RowBatch, error: RejectedInputError) -> RejectedInputError:
    """The error with the rows of its batch: the worker counts them from the batch's first."""
    return RejectedInputError(f"{batch.span}: {error}", status=error.status, request_id=error.request_id)


def rows_of_answer(answer: ModelAnswer, count: int) -> list[RowResult] | None:
    """What was answered to each of `count` rows; None if an output has no value for each of them."""
    if answer.predictions:
        return _same(
            [RowResult(predictions=each) for each in answer.predictions if isinstance(each, tuple)], count
        )
    columns = answer.outputs
    if not columns or any(not isinstance(each, list) or len(each) != count for each in columns.values()):
        return None
    return [RowResult({name: values[index] for name, values in columns.items()}) for index in range(count)]


def rows_of_stream(content: bytes, count: int) -> list[RowResult] | None:
    """The same of an Arrow stream."""
    pa = _pyarrow()
    try:
        with pa.ipc.open_stream(content) as reader:
            rows = reader.read_all().to_pylist()
    except pa.ArrowException:
        return None
    return _same([RowResult(row) for row in rows], count)


def _same(rows: list[RowResult], count: int) -> list[RowResult] | None:
    return rows if len(rows) == count else None


def _pyarrow() -> Any:
    try:
        import pyarrow  # noqa: PLC0415 - only where Arrow is used
    except ImportError as error:
        raise RuntimeError("Arrow needs pyarrow: install it, or send the rows as JSON") from error
    return pyarrow
