"""Rows and tensors to send: as JSON, or as an Arrow stream. And what comes back for each row.

pyarrow is imported where Arrow is asked for, or given; a client that sends JSON does without it.
"""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias, get_args

from tfleet.client.body import HeldBody
from tfleet.client.errors import RejectedInputError
from tfleet.client.results import ModelAnswer, RowResult
from tfleet.client.row_shapes import row_shape, same_shapes, table_shapes

JSON: Final = "application/json"
ARROW: Final = "application/vnd.apache.arrow.stream"

RowsForm: TypeAlias = Literal["json", "arrow"]
Row: TypeAlias = Mapping[str, Any] | Sequence[Any]
"""A row: values by the names of columns or inputs, or a list of values for a model whose columns have none.

Values may be of NumPy's types; bytes are sent in base64.
"""


_MOST_NAMED: Final = 10


@dataclass(frozen=True, slots=True)
class RowBatch:
    """The rows of one request: their numbers, counted from 0 over all requests."""

    rows: Sequence[int]
    body: HeldBody = field(repr=False)

    @property
    def count(self) -> int:
        """How many rows these are."""
        return len(self.rows)

    @property
    def span(self) -> str:
        """Which rows these are, for an error."""
        first, last = self.rows[0], self.rows[-1]
        if last - first + 1 == self.count:
            return f"rows {first} to {last}"
        named = ", ".join(map(str, self.rows[:_MOST_NAMED]))
        more = f" and {self.count - _MOST_NAMED} more" if self.count > _MOST_NAMED else ""
        return f"rows {named}{more}, sent together"


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


def batches(rows: Any, form: RowsForm, size: int, *, keep_order: bool = False) -> Iterator[RowBatch]:
    """The rows in requests of up to `size`. May block, where `rows` does. Raises as `json_body` does.

    `rows` are an iterable of rows or, for Arrow, also pyarrow's tables, record batches and readers of them.
    Of `size` rows that follow each other, those of one shape go together; with `keep_order`, only those that
    follow each other (row_shapes.py).
    """
    first = 0
    bodies = (
        _arrow_bodies(rows, size, keep_order) if form == "arrow" else _json_bodies(rows, size, keep_order)
    )
    for count, groups in bodies:
        for indices, body in groups:
            yield RowBatch([first + index for index in indices], body)
        first += count


_Bodies: TypeAlias = Iterator[tuple[Sequence[int], HeldBody]]
"""The requests for some rows that follow each other: the indices of their rows, and their bodies."""


def _json_bodies(rows: Iterable[Row], size: int, keep_order: bool) -> Iterator[tuple[int, _Bodies]]:
    for some in _in_lists(rows, size):
        yield len(some), _json_groups(some, keep_order)


def _json_groups(rows: Sequence[Row], keep_order: bool) -> _Bodies:
    for indices in same_shapes(map(row_shape, rows), keep_order=keep_order):
        yield indices, json_body([rows[index] for index in indices])


def _arrow_bodies(rows: Any, size: int, keep_order: bool) -> Iterator[tuple[int, _Bodies]]:
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
        yield table.num_rows, _arrow_groups(table, keep_order)


def _arrow_groups(table: Any, keep_order: bool) -> _Bodies:
    shapes = table_shapes(table)
    if shapes is None:
        yield range(table.num_rows), _arrow_body(table)
        return
    for indices in same_shapes(shapes, keep_order=keep_order):
        whole = len(indices) == table.num_rows
        yield indices, _arrow_body(table if whole else table.take(indices))


def _arrow_body(table: Any) -> HeldBody:
    pa = _pyarrow()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return HeldBody(ARROW, sink.getvalue().to_pybytes())


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


async def in_row_order(
    answers: AsyncGenerator[tuple[RowBatch, list[RowResult]], None],
) -> AsyncGenerator[RowResult, None]:
    """The result of each row in the order of the rows, given the answers in the order of `batches`."""
    waiting: dict[int, RowResult] = {}
    first_waited = 0
    async with aclosing(answers):
        async for batch, results in answers:
            waiting.update(zip(batch.rows, results, strict=True))
            while first_waited in waiting:
                yield waiting.pop(first_waited)
                first_waited += 1


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
