"""`python keras_head.py TASK CLASSES EPOCHS`: a Dense head by Keras. Prints answers and seconds in JSON.

As in Keras' guide to transfer learning: dropout of 0.2, a Dense layer, Adam with its default rate.
"""

from __future__ import annotations

import json
import os
import sys
import time

os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", KERAS_BACKEND="tensorflow")

import keras
import numpy as np


def main() -> None:
    """Train and answer."""
    path, classes, epochs = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    task = np.load(path)
    keras.utils.set_random_seed(1)
    inputs = keras.Input((task["x"].shape[1],))
    outputs = keras.layers.Dense(classes)(keras.layers.Dropout(0.2)(inputs))
    model = keras.Model(inputs, outputs)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(), loss=loss)
    began_s = time.process_time()
    model.fit(task["x"], task["y"], epochs=epochs, verbose=0)
    seconds = time.process_time() - began_s
    answers = model.predict(task["test"], verbose=0).argmax(axis=1)
    print(json.dumps({"answers": answers.tolist(), "seconds": seconds}))


if __name__ == "__main__":
    main()
