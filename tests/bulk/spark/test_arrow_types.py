from __future__ import annotations

import pyarrow as pa
import pytest

from tfleet.bulk.spark.arrow_types import as_spark, spark_schema


@pytest.mark.parametrize(
    ("kind", "values", "spark"),
    [
        (pa.uint8(), [255, None], pa.int16()),
        (pa.uint16(), [65_535, None], pa.int32()),
        (pa.uint32(), [2**32 - 1, None], pa.int64()),
        (pa.uint64(), [2**64 - 1, None], pa.decimal128(20, 0)),
        (pa.float16(), [1.5, None], pa.float32()),
        (pa.list_(pa.float32(), 2), [[1.0, 2.0], None], pa.list_(pa.float32())),
        (pa.list_(pa.list_(pa.uint8(), 1), 2), [[[1], [2]], None], pa.list_(pa.list_(pa.int16()))),
        (pa.list_(pa.string()), [["a"], None, []], pa.list_(pa.string())),
        (pa.binary(), [b"\0", None], pa.binary()),
    ],
)
def test_each_type_of_a_prediction_has_one_in_spark(
    kind: pa.DataType, values: list[object], spark: object
) -> None:
    batch = pa.record_batch({"y": pa.array(values, kind)})
    schema = spark_schema(batch.schema)
    assert schema.field("y").type == spark
    (column,) = as_spark(batch, schema)
    assert column.type == spark
    assert column.to_pylist() == values
