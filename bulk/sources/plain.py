"""Columns in the types that a run works with.

Dictionaries, views of text and bytes, and run-end encoding are other layouts of the same values. Arrow lacks
functions for them: rows of a view cannot be taken, for example.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types


def plain(field: pa.Field) -> pa.Field:
    """The field with the type of its values, whatever layout they have in it."""
    return field.with_type(_plain_type(field.type))


def cast(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The columns of a schema, in its types."""
    if not schema.names:
        return batch
    columns = [_cast(batch.column(field.name), field.type) for field in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _cast(column: pa.Array, kind: pa.DataType) -> pa.Array:
    if types.is_run_end_encoded(column.type):
        column = pc.run_end_decode(column)
    return column.cast(kind)


def _plain_type(kind: pa.DataType) -> pa.DataType:
    found = kind
    if types.is_dictionary(kind) or types.is_run_end_encoded(kind):
        found = _plain_type(kind.value_type)
    elif types.is_string_view(kind):
        found = pa.string()
    elif types.is_binary_view(kind):
        found = pa.binary()
    elif types.is_fixed_size_list(kind):
        found = pa.list_(plain(kind.value_field), kind.list_size)
    elif types.is_list(kind):
        found = pa.list_(plain(kind.value_field))
    elif types.is_large_list(kind):
        found = pa.large_list(plain(kind.value_field))
    elif types.is_struct(kind):
        found = pa.struct([plain(field) for field in kind])
    return found
