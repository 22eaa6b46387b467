"""Make the model and the rows: `python -m benchmarks.bulk.make FOLDER ROWS`.

The rows are of the seed's kind: ten columns of 0 and 1. The model is a small network, seeded and not trained.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.update(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3")

import keras
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from keras import layers

from benchmarks.bulk.columns import COLUMNS


def main(folder: Path, rows: int) -> None:
    keras.utils.set_random_seed(16)
    row = keras.Input((len(COLUMNS),), name="G")
    hidden = layers.Dense(32, activation="relu")(layers.Dense(64, activation="relu")(row))
    model = keras.Model(row, layers.Dense(1, activation="sigmoid", name="p")(hidden))
    model.save(folder / "model.keras")
    version = folder / "binary" / "1"
    model.export(version, verbose=False)
    named = ", ".join(f'"{name}"' for name in COLUMNS)
    (version / "model.toml").write_text(f"[model]\ncolumns = [{named}]\n", encoding="utf-8")
    values = np.random.default_rng(16).integers(0, 2, (rows, len(COLUMNS)))
    table = pa.table(dict(zip(COLUMNS, values.T, strict=True)))
    pq.write_table(table, folder / "rows.parquet")
    pyarrow.csv.write_csv(table, folder / "rows.csv")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
