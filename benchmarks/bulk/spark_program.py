"""Score rows with Spark, in one of two ways. Prints the seconds from reading to the end of writing, as JSON.

    python -m benchmarks.bulk.spark_program tfleet|predict_batch_udf FOLDER ROWS OUT

FOLDER has both forms of the model. The session is there before the time begins; its Python workers and the
models in them are not.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pyspark.ml.functions import predict_batch_udf
from pyspark.sql import SparkSession
from pyspark.sql.functions import struct
from pyspark.sql.types import FloatType

from benchmarks.bulk.columns import COLUMNS
from tfleet.bulk.spark import score

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import DataFrame

BATCH_ROWS = 4096
MASTER = "local[2]"


def with_udf(rows: DataFrame, folder: Path) -> DataFrame:
    """As Spark's documentation has it, with Keras."""
    path = str(folder / "model.keras")

    def make_predict() -> Callable[[Any], Any]:
        os.environ.update(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3")
        import keras  # noqa: PLC0415 - in the Python workers only

        model = keras.saving.load_model(path)

        def predict(inputs: Any) -> Any:
            return model.predict(inputs.astype(np.float32), batch_size=BATCH_ROWS, verbose=0)[:, 0]

        return predict

    udf = predict_batch_udf(make_predict, return_type=FloatType(), batch_size=BATCH_ROWS)
    return rows.withColumn("p", udf(struct(*COLUMNS)))


def main(way: str, folder: str, rows: str, out: str) -> None:
    """Read, score and write."""
    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = SparkSession.builder.master(MASTER).config("spark.ui.enabled", "false")
    # Otherwise a small Parquet file is read by one task.
    session = builder.config("spark.sql.files.openCostInBytes", "0").getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    session.range(1).count()  # the session starts as a whole at its first job
    began_s = time.perf_counter()
    if rows.endswith(".csv"):
        types = ", ".join(f"{name} INT" for name in COLUMNS)
        table = session.read.csv(rows, header=True, schema=types)
    else:
        table = session.read.parquet(rows)
    scored = with_udf(table, Path(folder)) if way != "tfleet" else score(table, model=Path(folder) / "binary")
    scored.write.parquet(out)
    print(json.dumps({"seconds": time.perf_counter() - began_s}))
    session.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
