"""Resample without antialiasing, the default of `tf.image.resize`.

Each pixel of the result is interpolated from the few source pixels around its centre, however large the
reduction is. Pillow's resampler always averages over all source pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from tfleet.worker.image.geometry import Resample

_Floats = npt.NDArray[np.float32]


def resample_points(
    picture: npt.NDArray[np.uint8], size: tuple[int, int], box: tuple[int, int, int, int], kernel: Resample
) -> npt.NDArray[np.uint8]:
    """Resample `uint8[rows, columns, 3]` to `uint8[height, width, 3]`, rounded.

    `size` is (height, width). `box` is the part of the image that is used: left, top, right, bottom in
    pixels. Pixels outside of it have no weight, as in TensorFlow's kernels with half_pixel_centers
    (tensorflow/core/kernels/image/scale_and_translate_op.cc). The kernel `box` takes the nearest pixel.
    """
    left, top, right, bottom = box
    part = picture[top:bottom, left:right]
    rows, row_weights = _taps(bottom - top, size[0], kernel)
    columns, column_weights = _taps(right - left, size[1], kernel)
    # Converting to float32 is the expensive part: only rows and columns with a weight are converted.
    narrow = np.einsum("yxtc,xt->yxc", part[np.unique(rows)][:, columns].astype(np.float32), column_weights)
    place = np.searchsorted(np.unique(rows), rows)
    result = np.einsum("ytxc,yt->yxc", narrow[place], row_weights)
    rounded: npt.NDArray[np.uint8] = np.clip(np.rint(result), 0, 255).astype(np.uint8)
    return rounded


def _taps(length: int, wanted: int, kernel: Resample) -> tuple[npt.NDArray[np.intp], _Floats]:
    """For each of `wanted` output pixels: the indices of its source pixels, of `length`, and their
    weights.
    """
    reach, weigh = _KERNELS[kernel]
    middle = (np.arange(wanted) + 0.5) * (length / wanted) - 0.5
    first = np.floor(middle).astype(np.intp) - (reach - 1)
    places = first[:, None] + np.arange(2 * reach)
    weights = weigh(np.abs(places - middle[:, None]))
    weights[(places < 0) | (places >= length)] = 0
    weights /= weights.sum(axis=1, keepdims=True)
    return np.clip(places, 0, length - 1), weights.astype(np.float32)


def _nearest(distance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    chosen = np.zeros_like(distance)
    # Halfway between two pixels TensorFlow takes the later one.
    last = distance.shape[1] - 1 - np.argmin(distance[:, ::-1], axis=1)
    chosen[np.arange(len(distance)), last] = 1
    return chosen


def _linear(distance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.maximum(0, 1 - distance)


def _cubic(distance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Keys' cubic with a = -0.5."""
    near = (1.5 * distance - 2.5) * distance**2 + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    return np.where(distance < 1, near, np.where(distance < 2, far, 0))  # noqa: PLR2004 - the kernel's reach


def _lanczos(distance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.where(distance < 3, np.sinc(distance) * np.sinc(distance / 3), 0)  # noqa: PLR2004 - as above


_Kernel = Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]
# The number of source pixels on either side, and the function from distances in pixels to weights.
_KERNELS: Final[dict[str, tuple[int, _Kernel]]] = {
    "nearest": (1, _nearest),
    "box": (1, _nearest),
    "bilinear": (1, _linear),
    "bicubic": (2, _cubic),
    "lanczos": (3, _lanczos),
}
