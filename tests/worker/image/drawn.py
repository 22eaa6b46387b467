"""Pictures that tests draw, and files of them."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from tests.support.photos import PHOTOS

# Red and green above, blue and white below: no two of the 8 orientations look alike.
QUARTERS = np.zeros((48, 72, 3), dtype=np.uint8)
QUARTERS[:24, :36] = 255, 0, 0
QUARTERS[:24, 36:] = 0, 255, 0
QUARTERS[24:, :36] = 0, 0, 255
QUARTERS[24:, 36:] = 255, 255, 255

# EXIF orientation -> how an upright picture is stored (TIFF 6.0, page 36).
STORED: dict[int, Callable[[Any], Any]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: np.rot90,
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, -1),
}


def saved(image: Image.Image, format_name: str, **options: Any) -> bytes:
    """The picture as a file."""
    buffer = io.BytesIO()
    image.save(buffer, format_name, **options)
    return buffer.getvalue()


def stored(orientation: int, format_name: str) -> bytes:
    """The four quarters, stored so that this orientation sets them upright."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(np.ascontiguousarray(STORED[orientation](QUARTERS)))
    return saved(image, format_name, exif=exif)


def photograph(side: int = 240) -> Image.Image:
    """A real one, in so many pixels square."""
    return Image.open(PHOTOS["coffee"]).convert("RGB").resize((side, side))
