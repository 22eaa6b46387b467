"""The types of Arrow that Spark has, for predictions that have others."""

from __future__ import annotations

from typing import Final

import pyarrow as pa
from pyarrow import types

# Spark has no unsigned numbers and no halves: the next larger type has all of their values.
_WIDER: Final = {
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.decimal128(20, 0),
    pa.float16(): pa.float32(),
}


def spark_schema(schema: pa.Schema) -> pa.Schema:
    """The columns with the types that Spark has for them."""
    return pa.schema([(field.name, _spark_type(field.type)) for field in schema])


def _spark_type(kind: pa.DataType) -> pa.DataType:
    if types.is_fixed_size_list(kind) or types.is_list(kind):
        return pa.list_(_spark_type(kind.value_type))
    return _WIDER.get(kind, kind)


def as_spark(batch: pa.RecordBatch, schema: pa.Schema) -> list[pa.Array]:
    """The columns of a batch in the types of such a schema."""
    return [_cast(column, field.type) for column, field in zip(batch.columns, schema, strict=True)]


def _cast(column: pa.Array, kind: pa.DataType) -> pa.Array:
    if types.is_fixed_size_list(column.type) and column.null_count:
        # pyarrow casts the values below a null as well, and Spark's lists have none there.
        inner = pa.list_(column.type.value_type)
        column = pa.array(column.to_pylist(), inner)
    return column if column.type == kind else column.cast(kind)
