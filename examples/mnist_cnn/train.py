"""Train the convolutional network of the MNIST tutorials, and export it as a SavedModel with a signature.

Writes models/mnist_cnn/1, which a worker serves, and digits to send, models/digit-0.png to digit-9.png. The
digits are those that scikit-learn ships, enlarged from 8 x 8 to 28 x 28 pixels: nothing is downloaded.
"""

from pathlib import Path

import keras
import numpy as np
from keras import layers
from PIL import Image
from sklearn.datasets import load_digits

MODELS = Path("models")
HELD_OUT = 297

keras.utils.set_random_seed(1)

digits = load_digits()
pictures = [Image.fromarray((image * 255 / 16).astype(np.uint8)).resize((28, 28)) for image in digits.images]
pixels = np.stack([np.asarray(picture) for picture in pictures])[..., None] / np.float32(255)

image = keras.Input((28, 28, 1), name="image")
x = layers.Conv2D(32, 5, padding="same", activation="relu")(image)
x = layers.MaxPooling2D()(x)
x = layers.Conv2D(64, 5, padding="same", activation="relu")(x)
x = layers.MaxPooling2D()(x)
x = layers.Dense(1024, activation="relu")(layers.Flatten()(x))
x = layers.Dropout(0.4)(x)
digit = layers.Dense(10, activation="softmax")(x)
model = keras.Model(image, digit)
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
train, test = slice(HELD_OUT, None), slice(HELD_OUT)
held_out = (pixels[test], digits.target[test])
model.fit(pixels[train], digits.target[train], batch_size=64, epochs=3, validation_data=held_out, verbose=2)

folder = MODELS / "mnist_cnn" / "1"
# A dict names the output; otherwise its name in the signature would be output_0.
keras.Model(image, {"digit": digit}).export(folder, verbose=False)
# The worker has to scale pixels as this script did: (pixel - mean) / std.
(folder / "model.toml").write_text("[input]\nmean = 0\nstd = 255\n")
for number in range(10):
    pictures[digits.target[test].tolist().index(number)].save(MODELS / f"digit-{number}.png")
