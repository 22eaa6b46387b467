"""Train a classifier of rows with ten columns, G1 to G10, and save it as .keras and as .h5.

Writes models/tabular.keras, models/tabular.h5, three rows to ask for, models/tabular.csv, and 200,000 rows to
score in bulk, models/tabular-many.csv.
"""

from pathlib import Path

import keras
import numpy as np
from keras import layers

MODELS = Path("models")
COLUMNS = [f"G{number}" for number in range(1, 11)]

keras.utils.set_random_seed(1)
rng = np.random.default_rng(1)

# Made-up data: each column has a weight of its own, and some labels are wrong.
rows = rng.random((2000, len(COLUMNS)), np.float32)
score = (rows - 0.5) @ np.linspace(-3, 3, len(COLUMNS)) + rng.normal(0, 0.3, len(rows))
positive = (score > 0).astype(np.float32)
table = {name: rows[:, [number]] for number, name in enumerate(COLUMNS)}

# One input for each column, so that requests can name them.
inputs = [keras.Input((1,), name=name) for name in COLUMNS]
hidden = layers.Dense(32, activation="relu")(layers.Concatenate()(inputs))
hidden = layers.Dropout(0.2)(hidden)
model = keras.Model(inputs, layers.Dense(1, activation="sigmoid", name="p")(hidden))
model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy", metrics=["accuracy"])
model.fit(table, positive, batch_size=64, epochs=10, validation_split=0.2, verbose=2)

MODELS.mkdir(exist_ok=True)
model.save(MODELS / "tabular.keras")
model.save(MODELS / "tabular.h5")
many = np.concatenate([rows, rng.random((198_000, len(COLUMNS)), np.float32)])
for name, part in (("tabular.csv", many[:3]), ("tabular-many.csv", many)):
    np.savetxt(MODELS / name, part, "%.3f", ",", header=",".join(COLUMNS), comments="")
