"""Bodies of the binary forms, as usual programs write them."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa


def arrow(columns: Mapping[str, Any], *, batches: int = 1, **options: Any) -> bytes:
    """An Arrow stream; what is no Arrow array yet becomes one. The batches are all alike."""
    arrays = [column if isinstance(column, pa.Array) else pa.array(column) for column in columns.values()]
    return stream([pa.record_batch(arrays, names=list(columns))] * batches, **options)


def stream(batches: Sequence[pa.RecordBatch], **options: Any) -> bytes:
    """An Arrow stream of these batches."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, batches[0].schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return sink.getvalue()


def npy(array: Any) -> bytes:
    """The array as numpy.save writes it."""
    sink = io.BytesIO()
    np.save(sink, array)
    return sink.getvalue()


def npz(arrays: Mapping[str, Any], *, compressed: bool = False) -> bytes:
    """The arrays as numpy.savez writes them."""
    sink = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(sink, allow_pickle=True, **arrays)
    return sink.getvalue()
