"""Outputs as an Arrow stream: one batch, one column for each output, one row for each row of the request."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from tfleet.worker.api.protocols.decoded import Array
from tfleet.worker.api.protocols.dtypes import kind_of
from tfleet.worker.api.protocols.problems import not_acceptable, quoted


def encode_arrow(outputs: Mapping[str, Array], rows: int) -> bytes:
    """An Arrow stream. Values with dimensions are lists of fixed size; strings are binary; bfloat16, which
    Arrow has not, becomes float32.

    Raises ProblemError (406) for an output that is not one value for each row, or complex.
    """
    columns = [_column(name, array, rows) for name, array in outputs.items()]
    batch = pa.record_batch(columns, names=list(outputs))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue().to_pybytes())


def _column(name: str, array: Array, rows: int) -> pa.Array:
    if array.ndim == 0 or array.shape[0] != rows:
        raise not_acceptable(
            f"output {quoted(name)} has shape {list(array.shape)}, which is not one value for each of "
            f"the {rows} rows "
            "of an Arrow stream: ask for application/json or application/x-npz"
        )
    kind = kind_of(array.dtype)
    if kind == "c":
        raise not_acceptable(
            f"output {quoted(name)} is {array.dtype}, which Arrow has not: ask for application/x-npz"
        )
    if kind == "f" and array.dtype.kind != "f":
        array = array.astype(np.float32)
    flat = np.ascontiguousarray(array).reshape(-1)
    column = pa.array(flat, pa.binary()) if kind == "O" else pa.array(flat)
    for size in reversed(array.shape[1:]):
        if size == 0:
            # Its length could not be told from its values.
            raise not_acceptable(f"output {quoted(name)} has no values in a row: ask for application/json")
        column = pa.FixedSizeListArray.from_arrays(column, size)
    return column
