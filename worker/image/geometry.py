"""Which part of a picture a model looks at, and at what size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Resample = Literal["bilinear", "bicubic", "lanczos", "box", "nearest"]
RESAMPLES: tuple[Resample, ...] = get_args(Resample)


@dataclass(frozen=True, slots=True)
class Geometry:
    """`height` and `width` in pixels, as the model takes them.

    `crop` is the part, above 0 and up to 1, of the largest centred box of that aspect ratio. Without it the
    whole picture is squeezed into the size, as TensorFlow's example label_image.py does. Without `antialias`
    pixels are interpolated at points, as `tf.image.resize` does unless told otherwise.
    """

    height: int
    width: int
    crop: float | None = None
    resample: Resample = "bilinear"
    antialias: bool = True

    def box(self, width: int, height: int) -> tuple[int, int, int, int]:
        """The part of a `width` x `height` picture to look at: left, top, right, bottom, in whole pixels."""
        if self.crop is None:
            return 0, 0, width, height
        box_width = max(1, round(self.crop * min(width, height * self.width / self.height)))
        box_height = max(1, round(self.crop * min(height, width * self.height / self.width)))
        left, top = (width - box_width) // 2, (height - box_height) // 2
        return left, top, left + box_width, top + box_height

    def turned(self) -> Geometry:
        """The same for a picture that lies on its side."""
        return Geometry(self.width, self.height, self.crop, self.resample, self.antialias)
