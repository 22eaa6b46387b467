"""The crop and size of a model's input, and the scaling of its pixel values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

Resample = Literal["bilinear", "bicubic", "lanczos", "box", "nearest"]
RESAMPLES: tuple[Resample, ...] = get_args(Resample)


@dataclass(frozen=True, slots=True)
class Geometry:
    """The size of a model's input in pixels, and how an image is brought to it.

    `crop` (above 0, up to 1) is the fraction that is kept of the largest centred box with the model's aspect
    ratio. Without `crop` the whole image is stretched to the size, as TensorFlow's example label_image.py
    does. Without `antialias` pixels are interpolated at points, the default of `tf.image.resize`.
    """

    height: int
    width: int
    crop: float | None = None
    resample: Resample = "bilinear"
    antialias: bool = True

    def box(self, width: int, height: int) -> tuple[int, int, int, int]:
        """The part of a `width` x `height` image that is used: left, top, right, bottom, in whole pixels."""
        if self.crop is None:
            return 0, 0, width, height
        box_width = max(1, round(self.crop * min(width, height * self.width / self.height)))
        box_height = max(1, round(self.crop * min(height, width * self.height / self.width)))
        left, top = (width - box_width) // 2, (height - box_height) // 2
        return left, top, left + box_width, top + box_height

    def transposed(self) -> Geometry:
        """The same with width and height swapped, for an image that is stored on its side."""
        return Geometry(self.width, self.height, self.crop, self.resample, self.antialias)


@dataclass(frozen=True, slots=True)
class Scaling:
    """Computes `(pixel - mean) / std`, with one value for all channels or one for each of red, green and
    blue.

    The defaults map 0..255 to 0..1: input_mean 0 and input_std 255 in TensorFlow's example
    tensorflow/examples/label_image/label_image.py.
    """

    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (255.0,)

    def __call__(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Scale `uint8[height, width, 3]` into a new `float32` array of the same shape, without another
        copy.
        """
        scaled: npt.NDArray[np.float32] = np.subtract(pixels, _row(self.mean), dtype=np.float32)
        scaled /= _row(self.std)
        return scaled


def _row(values: tuple[float, ...]) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.asarray(values, dtype=np.float32)
