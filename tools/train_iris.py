"""Make the table model: a small network that tells three kinds of iris by four measurements.

    pip install '.[examples]'
    python tools/train_iris.py

Trains on the data that scikit-learn ships, says how many held-out flowers it names rightly, and writes
graph.pb, labels.txt and examples.json into worker/models/iris/1/. Seeded: two runs on one machine write the
same graph.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tomllib
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_iris

from tfleet.worker.model.tensorflow import tf

MODEL: Final = Path(__file__).resolve().parents[1] / "worker" / "models" / "iris" / "1"
SEED: Final = 1
HELD_OUT: Final = 50  # of 150 flowers
HIDDEN: Final = 16
STEPS: Final = 1000
LEARNING_RATE: Final = 0.1
LEAST_ACCURACY: Final = 0.9

Array = npt.NDArray[np.float32]


def train(rows: Array, classes: npt.NDArray[np.int64]) -> list[Array]:
    """The weights and biases of two layers, for standardised measurements."""
    tf.random.set_seed(SEED)
    weights = [
        tf.Variable(tf.random.normal([4, HIDDEN], stddev=0.5)),
        tf.Variable(tf.zeros([HIDDEN])),
        tf.Variable(tf.random.normal([HIDDEN, 3], stddev=0.5)),
        tf.Variable(tf.zeros([3])),
    ]
    for _ in range(STEPS):
        with tf.GradientTape() as tape:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(classes, logits(rows, weights))
            loss = tf.reduce_mean(losses)
        for weight, gradient in zip(weights, tape.gradient(loss, weights), strict=True):
            weight.assign_sub(LEARNING_RATE * gradient)
    return [weight.numpy() for weight in weights]


def logits(rows: Any, weights: list[Any]) -> Any:
    hidden = tf.nn.relu(tf.matmul(rows, weights[0]) + weights[1])
    return tf.matmul(hidden, weights[2]) + weights[3]


def frozen(weights: list[Array], mean: Array, deviation: Array) -> bytes:
    """The serialised GraphDef: `measurements` float32 [N, 4] in cm to `probability` float32 [N, 3]."""
    with tf.Graph().as_default() as graph:
        rows = tf.compat.v1.placeholder(tf.float32, [None, 4], name="measurements")
        tf.nn.softmax(logits((rows - mean) / deviation, weights), name="probability")
    written: bytes = graph.as_graph_def().SerializeToString(deterministic=True)
    return written


def main() -> int:
    """Train, judge by the held-out flowers, write."""
    iris = load_iris()
    order = np.random.default_rng(SEED).permutation(len(iris.target))
    rows, classes = iris.data.astype(np.float32)[order], iris.target[order]
    mean, deviation = rows[HELD_OUT:].mean(axis=0), rows[HELD_OUT:].std(axis=0)
    standard = (rows - mean) / deviation
    weights = train(standard[HELD_OUT:], classes[HELD_OUT:])
    named = np.argmax(logits(standard, weights), axis=1) == classes
    right, known = int(named[:HELD_OUT].sum()), int(named[HELD_OUT:].sum())
    print(f"right: {right} of {HELD_OUT} held-out flowers, {known} of {len(named) - HELD_OUT} trained ones")
    if right < LEAST_ACCURACY * HELD_OUT:
        raise SystemExit("that is not good enough: nothing is written")
    columns = tomllib.loads((MODEL / "model.toml").read_text())["model"]["columns"]
    first = [int(np.flatnonzero((classes == number) & named)[0]) for number in range(3)]
    examples = [dict(zip(columns, map(float, iris.data[order[row]]), strict=True)) for row in first]
    lines = ",\n ".join(json.dumps(each) for each in examples)
    (MODEL / "examples.json").write_text(f"[{lines}]\n", encoding="utf-8")
    (MODEL / "labels.txt").write_text("\n".join(iris.target_names) + "\n", encoding="utf-8")
    graph = frozen(weights, mean, deviation)
    (MODEL / "graph.pb").write_bytes(graph)
    print(f"graph.pb: {len(graph)} bytes, sha256 {hashlib.sha256(graph).hexdigest()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
