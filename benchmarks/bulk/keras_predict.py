"""What people write without tfleet: read a file, ask Keras, write Parquet.

Prints the seconds of that, and those of CPU, as JSON.

    python -m benchmarks.bulk.keras_predict MODEL.keras ROWS OUT [ROW-BY-ROW]

With a number of rows as the last argument only those are asked, one call for each, as the seed did.
"""

from __future__ import annotations

import json
import os
import sys
import time

os.environ.update(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3")

import keras
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

BATCH_ROWS = 4096


def main(model_path: str, rows: str, out: str, row_by_row: str | None = None) -> None:
    model = keras.saving.load_model(model_path)
    model.predict(np.zeros((BATCH_ROWS, 10), np.float32), batch_size=BATCH_ROWS, verbose=0)
    began_s, used_s = time.perf_counter(), time.process_time()
    table = pyarrow.csv.read_csv(rows) if rows.endswith(".csv") else pq.read_table(rows)
    inputs = np.stack([column.to_numpy() for column in table.columns], axis=1).astype(np.float32)
    if row_by_row is None:
        found = model.predict(inputs, batch_size=BATCH_ROWS, verbose=0)
    else:
        count = int(row_by_row)
        table = table.slice(0, count)
        began_s, used_s = (
            time.perf_counter(),
            time.process_time(),
        )  # few rows: reading all would be most of it
        found = np.concatenate([model.predict(row[None], verbose=0) for row in inputs[:count]])
    pq.write_table(table.append_column("p", pa.array(found[:, 0])), out)
    print(json.dumps({"seconds": time.perf_counter() - began_s, "cpu_s": time.process_time() - used_s}))


if __name__ == "__main__":
    main(*sys.argv[1:])
