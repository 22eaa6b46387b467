"""Read from a tensor's shape how it lays out images. No TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

DEPTHS: Final = (1, 3, 4)  # grey, RGB, RGB with an alpha channel
_RGB: Final = 3
_BATCH_RANK: Final = 4  # [batch, height, width, channels], or channels before height
_IMAGE_RANK: Final = 3


@dataclass(frozen=True, slots=True)
class PixelLayout:
    """How a tensor holds images. None is any size.

    `batched` says that it has a dimension of images, of which there are `batch`. `depth` is the number of
    channels. `channels_first` says that they come before height and width.
    """

    batched: bool
    batch: int | None
    height: int | None
    width: int | None
    depth: int
    channels_first: bool = False


def pixel_layout(shape: tuple[int | None, ...] | None) -> PixelLayout | None:
    """The layout of a tensor of this shape; None if it can hold no images.

    Channels of an unknown number are taken for red, green and blue.
    """
    if shape is None:
        return PixelLayout(True, None, None, None, _RGB)
    if len(shape) not in {_IMAGE_RANK, _BATCH_RANK}:
        return None
    batched = len(shape) == _BATCH_RANK
    batch, sides = (shape[0], shape[1:]) if batched else (1, shape)
    first, last = sides[0], sides[-1]
    if last in DEPTHS:
        return PixelLayout(batched, batch, sides[0], sides[1], last)
    if first in DEPTHS:
        return PixelLayout(batched, batch, sides[1], sides[2], first, channels_first=True)
    if last is None:
        return PixelLayout(batched, batch, sides[0], sides[1], _RGB)
    return None
