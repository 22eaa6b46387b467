"""Train a network that says which character comes next, on the licences that Debian and Ubuntu ship.

Characters are their ASCII codes. A row has LENGTH of them; a shorter text has zeros before it. Writes
models/characters/1, which a worker serves, and prints how well it reads two licences that it has not seen.
"""

import argparse
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
from keras import layers

FOLDER = Path("models", "characters", "1")
CODES, LENGTH = 128, 64
HELD_OUT = ("Apache-2.0", "CC0-1.0")  # no other licence is nearly the same

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("--texts", type=Path, default=Path("/usr/share/common-licenses"))
options = parser.parse_args()
keras.utils.set_random_seed(1)
rng = np.random.default_rng(1)


def codes(name: str) -> npt.NDArray[np.int32]:
    """The text of a file as codes, on one line, with zeros before it."""
    text = " ".join((options.texts / name).read_text(errors="replace").split())
    return np.array([0] * LENGTH + [ord(char) for char in text if ord(char) < CODES], np.int32)


# GPL is a link to GPL-3: each text once.
names = {path.name for path in options.texts.glob("*") if path.is_file() and not path.is_symlink()}
if not names > set(HELD_OUT):
    parser.error(f"{options.texts} needs the files {' and '.join(HELD_OUT)}, and others: name it by --texts")
seen = np.concatenate([codes(name) for name in sorted(names - set(HELD_OUT))])
unseen = [np.lib.stride_tricks.sliding_window_view(codes(name), LENGTH + 1) for name in HELD_OUT]
tests, truth = np.concatenate(unseen)[:, :-1], np.concatenate(unseen)[:, -1]

chars = keras.Input((LENGTH,), dtype="int32", name="chars")
steps = layers.LSTM(128, return_sequences=True)(layers.Embedding(CODES, 32)(chars))
every = layers.Dense(CODES, activation="softmax", name="next")(steps)
model = keras.Model(chars, every)
model.compile(keras.optimizers.Adam(0.004), "sparse_categorical_crossentropy")
for epoch in range(options.epochs):
    shift = rng.integers(LENGTH)  # so that windows begin elsewhere in each epoch
    count = (len(seen) - shift - 1) // LENGTH
    given, wanted = (seen[start : start + count * LENGTH] for start in (shift, shift + 1))
    fitted = model.fit(given.reshape(count, -1), wanted.reshape(count, -1), batch_size=32, verbose=0)
    print(f"epoch {epoch + 1}: loss {fitted.history['loss'][0]:.3f}", flush=True)

# To write, only the character after the last one is wanted.
last = keras.Model(chars, {"next": every[:, -1]})
last.export(FOLDER, verbose=False)

# The baseline: what follows a character most often, whatever comes before it.
pairs = np.ones((CODES, CODES))
np.add.at(pairs, (seen[:-1], seen[1:]), 1)
bigrams = pairs / pairs.sum(1, keepdims=True)
for name, said in (
    ("LSTM", last.predict(tests, batch_size=512, verbose=0)["next"]),
    ("bigrams", bigrams[tests[:, -1]]),
):
    right = (said.argmax(1) == truth).mean()
    perplexity = np.exp(-np.log(np.maximum(said[range(len(truth)), truth], 1e-9)).mean())
    print(f"{name}: {right:.1%} of the next characters are right, perplexity {perplexity:.2f}")
