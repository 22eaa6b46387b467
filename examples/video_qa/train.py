"""Train a model with two inputs, the frames of a video and the words of a question about it.

In each video a square of one colour moves across the picture. Writes models/video_qa/1, which a worker
serves, and a video with a question, models/video_qa.npz.
"""

from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
from keras import layers

MODELS = Path("models")
FRAMES, SIDE, SQUARE = 8, 16, 4
COLOURS = {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1)}
MOVES = {"left": (0, -1), "right": (0, 1), "up": (-1, 0), "down": (1, 0)}
ANSWERS = [*COLOURS, *MOVES]
WORDS = ["", "what", "colour", "is", "it", "where", "does", "go"]  # a word's token is its place here
QUESTIONS = ["what colour is it", "where does it go"]

keras.utils.set_random_seed(1)
rng = np.random.default_rng(1)


def tokens(question: str) -> list[int]:
    return [WORDS.index(word) for word in question.split()]


def video(colour: str, move: str) -> npt.NDArray[np.float32]:
    frames = rng.random((FRAMES, SIDE, SIDE, 3), np.float32) * 0.2
    start = rng.integers(4, 9, 2)
    for number in range(FRAMES):
        y, x = start + (number - FRAMES // 2) * np.array(MOVES[move])
        frames[number, y : y + SQUARE, x : x + SQUARE] = COLOURS[colour]
    return frames


truth = [(rng.choice(list(COLOURS)), rng.choice(list(MOVES))) for _ in range(1500)]
asked = rng.integers(0, 2, len(truth))
data = {
    "video": np.stack([video(colour, move) for colour, move in truth]),
    "question": np.array([tokens(QUESTIONS[kind]) for kind in asked], np.int32),
}
answers = np.array([ANSWERS.index(pair[kind]) for pair, kind in zip(truth, asked, strict=True)])

frames = keras.Input((FRAMES, SIDE, SIDE, 3), name="video")
question = keras.Input((len(tokens(QUESTIONS[0])),), dtype="int32", name="question")
look = keras.Sequential(
    [
        layers.Conv2D(8, 3, strides=2, activation="relu"),
        layers.Conv2D(8, 3, strides=2, activation="relu"),
        layers.Flatten(),
    ]
)
seen = layers.LSTM(32)(layers.TimeDistributed(look)(frames))
heard = layers.LSTM(16)(layers.Embedding(len(WORDS), 8)(question))
both = layers.Dense(32, activation="relu")(layers.Concatenate()([seen, heard]))
answer = layers.Dense(len(ANSWERS), activation="softmax")(both)
model = keras.Model([frames, question], answer)
model.compile(keras.optimizers.Adam(0.005), "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(data, answers, batch_size=32, epochs=6, validation_split=0.2, verbose=2)

folder = MODELS / "video_qa" / "1"
# A dict names the output; otherwise its name in the signature would be output_0.
keras.Model([frames, question], {"answer": answer}).export(folder, verbose=False)
(folder / "labels.txt").write_text("\n".join(ANSWERS) + "\n")
np.savez(
    MODELS / "video_qa.npz",
    video=video("blue", "left")[None],
    question=np.array([tokens(QUESTIONS[1])], np.int32),
)
