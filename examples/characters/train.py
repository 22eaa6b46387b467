"""Train a network that says which character comes next, on the text of this repository's licence.

Characters are their ASCII codes, and a text may have any length. Writes models/characters/1, which a worker
serves. `--epochs 30` takes about a minute and writes better English.
"""

import argparse
from pathlib import Path

import keras
import numpy as np
from keras import layers

TEXT = Path(__file__).resolve().parents[2] / "LICENSE"
FOLDER = Path("models", "characters", "1")
CODES, LENGTH = 128, 40

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=30)
options = parser.parse_args()
keras.utils.set_random_seed(1)

text = np.frombuffer(" ".join(TEXT.read_text().split()).encode(), np.uint8).astype(np.int32)
windows = np.lib.stride_tricks.sliding_window_view(text, LENGTH + 1)[::3]

chars = keras.Input((None,), dtype="int32", name="chars")
steps = layers.LSTM(128, return_sequences=True)(layers.Embedding(CODES, 32)(chars))
every = layers.Dense(CODES, activation="softmax", name="next")(steps)
model = keras.Model(chars, every)
model.compile(keras.optimizers.Adam(0.005), "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(windows[:, :-1], windows[:, 1:], batch_size=64, epochs=options.epochs, verbose=2)

# To write, only the character after the last one is wanted.
keras.Model(chars, {"next": every[:, -1]}).export(FOLDER, verbose=False)
