"""From pixels of 0 to 255 to the numbers that a model was trained with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Scaling:
    """`(pixel - mean) / std`, with one value for all channels or one for each of red, green and blue.

    The defaults bring 0..255 to 0..1, with the input_mean 0 and input_std 255 of TensorFlow's example
    tensorflow/examples/label_image/label_image.py.
    """

    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (255.0,)

    def __call__(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Scale `uint8[height, width, 3]` into a new `float32` array of that shape, with no copy between."""
        scaled: npt.NDArray[np.float32] = np.subtract(pixels, _row(self.mean), dtype=np.float32)
        scaled /= _row(self.std)
        return scaled


def _row(values: tuple[float, ...]) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.asarray(values, dtype=np.float32)
