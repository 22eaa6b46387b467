"""From bytes to a Pillow image whose size is checked and whose pixels are red, green and blue.

The rules of this module: the first bytes decide the format, and Pillow may only try that one. The size is
checked before a pixel is allocated. Whatever Pillow says of a bad file leaves here as an `ImageError`. Colour
profiles are not applied: models are trained on pixels as they are stored.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import numpy as np
from PIL import Image, PngImagePlugin

from tfleet.worker.image.errors import BrokenImageError, NoImageError, UnsupportedFormatError
from tfleet.worker.image.header import webp_size
from tfleet.worker.image.limits import ImageLimits
from tfleet.worker.image.sniff import READ, sniff

# Pillow's own limit is the process's, and a warning before it is an error. `ImageLimits` replaces it.
Image.MAX_IMAGE_PIXELS = None
# What the texts of a PNG may unpack to, all together (Pillow: 64 MB). Nobody here reads them.
PngImagePlugin.MAX_TEXT_MEMORY = 4 * 1024 * 1024
# Pillow warns of oddities (bad EXIF, malformed MPO) that are no concern of whoever runs the worker.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

ORIENTATION: Final = 0x0112  # the EXIF tag
UPRIGHT: Final = 1

# EXIF orientation -> what sets the picture upright (as in Pillow's ImageOps.exif_transpose).
_TRANSPOSES: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# What Pillow's readers raise on damaged files. MemoryError is not among them: that is the worker's trouble.
_DAMAGE: Final = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


@contextmanager
def damage_as_broken(format_name: str) -> Iterator[None]:
    """Turn what Pillow raises on a damaged file into `BrokenImageError`."""
    try:
        yield
    except _DAMAGE as error:
        lines = str(error).splitlines() or [type(error).__name__]
        # Pillow shows the file object with its address, which tells the sender nothing.
        reason = "unreadable header" if "BytesIO" in lines[0] else lines[0][:150]
        raise BrokenImageError(
            f"the {format_name} image is damaged or cut off ({reason}): send the whole, intact file"
        ) from error


def open_image(data: bytes, limits: ImageLimits) -> Image.Image:
    """Read the header of a picture and check its size; its pixels are read when first asked for.

    Raises `NoImageError`, `UnsupportedFormatError`, `BrokenImageError` or `TooManyPixelsError`.
    """
    if not data:
        raise NoImageError("the image is empty: send the bytes of a picture")
    format_name = sniff(data)
    if format_name is None:
        raise NoImageError(f"these bytes are not an image: send one of {', '.join(READ)}")
    if format_name not in READ:
        raise UnsupportedFormatError(
            f"{format_name} is not read: convert the picture to one of {', '.join(READ)}"
        )
    if format_name == "WEBP" and (size := webp_size(data)):
        limits.check(*size)
    with damage_as_broken(format_name):
        image = Image.open(io.BytesIO(data), formats=(format_name,))
    limits.check(*image.size)
    return image


def orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 (upright) where there is none, or none that can be read."""
    try:
        value = image.getexif().get(ORIENTATION)
    except _DAMAGE:  # broken EXIF does not make a picture unusable: every viewer shows it as it is stored
        return UPRIGHT
    return value if value in _TRANSPOSES else UPRIGHT


def lies_on_its_side(value: int) -> bool:
    """Whether an EXIF orientation swaps width and height."""
    return value in {5, 6, 7, 8}


def set_upright(image: Image.Image, value: int) -> Image.Image:
    """The picture as it is to be seen, by its EXIF orientation."""
    transpose = _TRANSPOSES.get(value)
    return image if transpose is None else image.transpose(transpose)


def resampleable(image: Image.Image) -> Image.Image:
    """Bring any mode of the five formats to L, RGB or RGBA, whose pixels can be interpolated."""
    if image.mode in {"I", "I;16", "I;16B", "I;16L", "I;16N"}:
        # Pillow's own conversion clips at 255. The high byte is what it keeps of 16-bit colour.
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        return image if image.mode == "RGBA" else image.convert("RGBA")
    if image.mode == "1":
        return image.convert("L")
    return image if image.mode in {"L", "RGB"} else image.convert("RGB")


def on_white(image: Image.Image) -> Image.Image:
    """An L, RGB or RGBA picture as RGB, with white behind what is transparent."""
    if image.mode == "RGBA":
        canvas = Image.new("RGB", image.size, "white")
        canvas.paste(image, mask=image)  # one copy less than alpha_composite, which needs a white RGBA first
        return canvas
    return image if image.mode == "RGB" else image.convert("RGB")
