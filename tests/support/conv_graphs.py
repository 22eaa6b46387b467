"""A small convolutional network, frozen as the default model is: kernels in float16, and a residual block."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tests.support.graphs import write_model
from tfleet.worker.model.tensorflow import tf

SIZE = 32
_CHANNELS = 12
_MANIFEST = (
    f'[input]\ntensor = "image:0"\nsize = {SIZE}\nmean = 127\nstd = 128\n'
    '[output]\ntensor = "probability:0"\nembedding = "pooled:0"\n'
)


def write_network(folder: Path) -> Path:
    """Write a version folder of an image model with 12 convolutions, and an embedding of 12 numbers."""
    return write_model(folder, _build, _MANIFEST)


def _build() -> None:
    chance = np.random.default_rng(1)
    x = tf.compat.v1.placeholder(tf.float32, [None, SIZE, SIZE, 3], name="image")
    x = tf.nn.relu6(_convolution(x, chance, (3, 3, 3, _CHANNELS), stride=2))
    for _ in range(3):
        y = tf.nn.relu6(_convolution(x, chance, (1, 1, _CHANNELS, _CHANNELS)))
        y = tf.nn.relu(_convolution(y, chance, (3, 3, _CHANNELS, 1), depthwise=True))
        x = x + _convolution(y, chance, (1, 1, _CHANNELS, _CHANNELS))
    x = tf.nn.relu6(_convolution(x, chance, (1, 1, _CHANNELS, _CHANNELS)))
    x = tf.nn.relu6(_convolution(x, chance, (2, 2, _CHANNELS, _CHANNELS), padding="VALID"))
    x = tf.reduce_mean(x, axis=[1, 2], name="pooled")
    tf.nn.softmax(x[:, :3], name="probability")


def _convolution(
    x: Any,
    chance: np.random.Generator,
    shape: tuple[int, int, int, int],
    *,
    stride: int = 1,
    depthwise: bool = False,
    padding: str = "SAME",
) -> Any:
    inputs = shape[0] * shape[1] * (1 if depthwise else shape[2])
    values = (chance.standard_normal(shape) / np.sqrt(inputs)).astype(np.float16)
    kernel = tf.cast(tf.constant(values), tf.float32)
    x = (tf.nn.depthwise_conv2d if depthwise else tf.nn.conv2d)(x, kernel, [1, stride, stride, 1], padding)
    return tf.nn.bias_add(x, tf.constant(chance.uniform(0, 0.5, x.shape[-1]), tf.float32))
