"""The inputs of a model as requests, in every form of POST /predict and GET /predict that can hold them.

Written with what a client has: json, csv, numpy and pyarrow.
"""

from __future__ import annotations

import csv
import io
import json
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

Tensors = Mapping[str, Any]

JSON = "application/json"
CSV = "text/csv"
ARROW = "application/vnd.apache.arrow.stream"
NPY = "application/x-npy"
NPZ = "application/x-npz"


@dataclass(frozen=True, slots=True)
class Request:
    """One request; one with a `query` is a GET. The answer to `one_row` has no dimension for rows."""

    form: str
    media_type: str = ""
    body: bytes = b""
    query: tuple[tuple[str, str], ...] = ()
    one_row: bool = False


def bodies(inputs: Tensors, names: tuple[str, ...] = (), *, rows: bool = True) -> Iterator[Request]:
    """All forms of a body with all rows. `names` are the columns of a table with one input. Without `rows`
    these are complete tensors.
    """
    if _numeric(inputs):
        yield Request(".npz", NPZ, _npz(inputs))
        if len(inputs) == 1:
            yield Request(".npy", NPY, _npy(next(iter(inputs.values()))))
    if not rows:
        yield _json("tensors", {name: _plain(array) for name, array in inputs.items()})
        if not _numeric(inputs):
            yield _json("base64", {name: _plain(array, as_base64=True) for name, array in inputs.items()})
        return
    numbers = range(_count(inputs))
    yield _json("rows", [_row(inputs, number) for number in numbers])
    yield _json("columns", {name: _flat(array) for name, array in inputs.items()})
    yield Request("Arrow", ARROW, _arrow(inputs))
    if len(inputs) == 1 and not names:
        yield _json("lists", _flat(next(iter(inputs.values()))))
    if not _numeric(inputs):
        yield _json("base64", [_row(inputs, number, as_base64=True) for number in numbers])
    if columns := _columns(inputs, names):
        by_row = zip(*columns.values(), strict=True)
        yield _json("rows by column", [dict(zip(columns, row, strict=True)) for row in by_row])
        yield _json("columns by column", {name: columns[name] for name in reversed(columns)})
        yield Request("CSV", CSV, _csv(columns))
        yield Request("Arrow by column", ARROW, _stream(pa.table(columns)))


def single_rows(inputs: Tensors, number: int, names: tuple[str, ...] = ()) -> Iterator[Request]:
    """The forms of one row: an object, and the query of a GET."""
    yield _json("row", _row(inputs, number), one_row=True)
    if columns := _columns(inputs, names):
        query = tuple((name, _text(column[number])) for name, column in columns.items())
        yield Request("query", query=query, one_row=True)


def _json(form: str, value: Any, *, one_row: bool = False) -> Request:
    return Request(f"JSON {form}", JSON, json.dumps(value).encode(), one_row=one_row)


def _count(inputs: Tensors) -> int:
    return len(next(iter(inputs.values())))


def _numeric(inputs: Tensors) -> bool:
    return all(array.dtype.kind != "O" for array in inputs.values())


def _row(inputs: Tensors, number: int, *, as_base64: bool = False) -> dict[str, Any]:
    """One row by the inputs' names, the last name first: their order must not matter."""
    return {name: _cell(inputs[name], number, as_base64) for name in reversed(list(inputs))}


def _cell(array: Any, number: int, as_base64: bool) -> Any:
    """One input's part of a row; of a column the plain value."""
    if array.shape[1:] in {(), (1,)}:
        return _plain(array.reshape(-1), as_base64)[number]
    return _plain(array[number], as_base64)


def _flat(array: Any) -> Any:
    """All rows of an input; of a column the plain values."""
    return _plain(array.reshape(-1) if array.shape[1:] == (1,) else array)


def _plain(array: Any, as_base64: bool = False) -> Any:
    """Lists of values that JSON has."""
    if array.dtype.kind != "O":
        return array.tolist()
    if array.ndim > 1:
        return [_plain(part, as_base64) for part in array]
    return [{"b64": b64encode(item).decode()} if as_base64 else item.decode() for item in array]


def _columns(inputs: Tensors, names: tuple[str, ...]) -> dict[str, list[Any]]:
    """A list of plain values for each column; nothing where a cell has several values."""
    if names:
        (table,) = inputs.values()
        return {name: table[:, number].tolist() for number, name in enumerate(names)}
    if any(array.shape[1:] not in {(), (1,)} for array in inputs.values()):
        return {}
    return {name: _flat(array) for name, array in inputs.items()}


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _csv(columns: Mapping[str, list[Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(list(columns))
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue().encode()


def _npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def _npz(inputs: Tensors) -> bytes:
    file = io.BytesIO()
    np.savez(file, **inputs)
    return file.getvalue()


def _arrow(inputs: Tensors) -> bytes:
    """A column for each input: plain values, or lists of fixed size for each further dimension."""
    columns = {}
    for name, array in inputs.items():
        flat = array.reshape(-1)
        column = pa.array(flat.tolist(), pa.binary()) if array.dtype.kind == "O" else pa.array(flat)
        if array.shape[1:] != (1,):
            for size in reversed(array.shape[1:]):
                column = pa.FixedSizeListArray.from_arrays(column, size)
        columns[name] = column
    return _stream(pa.table(columns))


def _stream(table: Any) -> bytes:
    """In two batches, as a program writes that reads its rows in parts."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        for batch in table.to_batches(max_chunksize=max(1, (table.num_rows + 1) // 2)):
            writer.write_batch(batch)
    return sink.getvalue()
