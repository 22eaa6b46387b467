"""Photographs as they could have been taken as well: mirrored, nearer, lighter or darker."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tfleet.worker.model.tensorflow import tf

_LEAST_SIDE: Final = 0.75
"""The smallest crop, as a share of each side."""
_BRIGHTNESS: Final = 0.2
_WHITE: Final = 255.0


def augmented(
    pixels: npt.NDArray[np.uint8], chance: np.random.Generator, *, mirror: bool
) -> npt.NDArray[np.float32]:
    """Change each of pixels[n, height, width, 3] in another way: float32 of the same shape, 0 to 255.

    With `mirror` about half of them are mirrored.
    """
    count, height, width, _ = pixels.shape
    sides = chance.uniform(_LEAST_SIDE, 1, count)
    tops, lefts = (chance.uniform(0, 1, count) * (1 - sides) for _ in range(2))
    boxes = np.stack([tops, lefts, tops + sides, lefts + sides], axis=1)
    if mirror:
        mirrored = chance.random(count) < 1 / 2
        boxes[mirrored] = boxes[mirrored][:, [0, 3, 2, 1]]  # from right to left
    crops: Any = tf.image.crop_and_resize(
        pixels.astype(np.float32), boxes, np.arange(count), (height, width), "bilinear"
    )
    factors = chance.uniform(1 - _BRIGHTNESS, 1 + _BRIGHTNESS, (count, 1, 1, 1)).astype(np.float32)
    found: npt.NDArray[np.float32] = np.clip(np.asarray(crops) * factors, 0, _WHITE)
    return found
