"""Decode an image to RGB pixels; transparent parts become white.

The rules: Pillow tries only the format that the header names. Whatever Pillow raises for a bad file becomes
an `ImageError`; an exception that Pillow should not raise is logged as well. Colour profiles are not applied:
models are trained on the stored pixel values.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import structlog
from PIL import Image, ImageFile

from tfleet.worker.image.errors import ImageError, TooCostlyError
from tfleet.worker.image.formats import HEIC, damaged_image
from tfleet.worker.image.headers import jpeg, png
from tfleet.worker.image.headers.header import UPRIGHT, Header, HeaderError

# Pillow's own limit is global to the process and warns before it fails. `ImageLimits` replaces it.
Image.MAX_IMAGE_PIXELS = None
# Pillow warns of bad EXIF or malformed MPO, which the operator of a worker can do nothing about.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

ORIENTATION: Final = 0x0112  # the EXIF tag
WHITE: Final = 255

# EXIF orientation -> the operation that turns the image upright (as in Pillow's ImageOps.exif_transpose).
_TRANSPOSES: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# What Pillow's readers raise on damaged files. Any other exception is reported as damage too, and logged.
_DAMAGE: Final = (
    ArithmeticError,
    AttributeError,
    EOFError,
    HeaderError,
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
# Two different tails for a JPEG without its end marker. A decoder that still needs bits gets zeros from the
# first (libjpeg supplies zeros at a marker) and other bits from the second, which begins with a one.
_TAILS: Final = (jpeg.END, b"\xb6\xdb" * 32 + jpeg.END)


# The pixel values that coefficients of 0 decode to, plain and inverted (CMYK): mid-grey.
_GREY_OF_ZEROS: Final = frozenset({127, 128})


@contextmanager
def decoder_errors(format_name: str) -> Iterator[None]:
    """Convert what a decoder raises to `BrokenImageError`, and `MemoryError` to `TooCostlyError`."""
    try:
        yield
    except ImageError:
        raise
    except MemoryError as error:
        raise out_of_memory_error(format_name) from error
    except Exception as error:
        if not isinstance(error, _DAMAGE):
            log: Any = structlog.get_logger()
            log.warning("a decoder failed", format=format_name, error=repr(error)[:200])
        lines = str(error).splitlines() or ["unreadable"]
        # Some of Pillow's messages print the file object with its address, which does not help the client.
        raise damaged_image(
            format_name, "unreadable header" if "BytesIO" in lines[0] else lines[0][:150]
        ) from error


def out_of_memory_error(format_name: str) -> TooCostlyError:
    """The error for an image that needs more memory than a decoder may use."""
    return TooCostlyError(
        f"decoding this {format_name} image takes more memory than one image may use: send a smaller one"
    )


def load(header: Header, draft: tuple[int, int] | None = None) -> Image.Image:
    """Decode all pixels of an image; a JPEG at 1/2, 1/4 or 1/8 of its size, but no smaller than `draft`.

    `draft` is (width, height) in pixels. Raises `BrokenImageError`, also for an incomplete image, and
    `TooCostlyError`.
    """
    with decoder_errors(header.format):
        if header.format == "PNG":
            # Pillow decodes half a PNG without an error and leaves the rest black.
            png.check_complete(header.picture)
        return _load_jpeg(header, draft) if header.format == "JPEG" else _load(header, header.picture, draft)


def _load_jpeg(header: Header, draft: tuple[int, int] | None) -> Image.Image:
    try:
        image = _load(header, header.picture, draft)
    except OSError:
        whole = _without_end(header, header.picture, draft)
        if whole is None:
            raise
        return whole
    # libjpeg silently fills missing blocks with mid-grey. Only an image whose last pixel has that grey is
    # suspect; a second decoding shows whether the grey is in the file or was filled in.
    if _ends_grey(image) and _without_end(header, jpeg.without_end_marker(header.picture), draft) is None:
        raise HeaderError("pixels are missing at its end")
    return image


def _ends_grey(image: Image.Image) -> bool:
    last = image.getpixel((image.width - 1, image.height - 1))
    return set(last if isinstance(last, tuple) else (last,)) <= _GREY_OF_ZEROS


def _load(header: Header, picture: bytes, draft: tuple[int, int] | None) -> Image.Image:
    if header.format == HEIC:
        from pillow_heif import HeifImageFile  # noqa: PLC0415 - an extra, and only for decoder processes

        image: ImageFile.ImageFile = HeifImageFile(io.BytesIO(picture))
    else:
        image = Image.open(io.BytesIO(picture), formats=(header.format,))
    # The limits were checked against our own reading of the header: a library that reads a larger size from
    # the same bytes would get around them.
    if image.width * image.height > header.pixels:
        raise HeaderError(f"it states {header.pixels} pixels and has {image.width} x {image.height}")
    if draft is not None:
        image.draft(None, draft)
    image.load()
    return image


def _without_end(header: Header, picture: bytes, draft: tuple[int, int] | None) -> Image.Image | None:
    """Decode a JPEG that lacks nothing but its end marker; None where anything else is missing.

    It is decoded with two different tails. Missing bits are read from the tail, so the pixels differ. Missing
    scans of a progressive JPEG would not change the pixels, so they are looked for first.
    """
    # A trailing 0xFF would combine with the first byte of the tail to a marker.
    picture = picture.rstrip(b"\xff")
    if jpeg.lacks_scans(picture):
        return None
    one, other = (_load(header, picture + tail, draft) for tail in _TAILS)
    return one if one.tobytes() == other.tobytes() else None


def orientation(header: Header, image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8: from the header, or for an AVIF from the library that reads its boxes."""
    if header.format != "AVIF":
        return header.orientation
    value = image.getexif().get(ORIENTATION)
    return value if value in _TRANSPOSES else UPRIGHT


def swaps_sides(value: int) -> bool:
    """Whether an EXIF orientation swaps width and height."""
    return value in {5, 6, 7, 8}


def turn_upright(image: Image.Image, value: int) -> Image.Image:
    """Turn an image as its EXIF orientation says; 1 and unknown values leave it unchanged."""
    transpose = _TRANSPOSES.get(value)
    return image if transpose is None else image.transpose(transpose)


def to_grey_or_rgb(image: Image.Image) -> Image.Image:
    """Convert an image of any mode to L or RGB, with white behind transparent pixels.

    This happens before resampling, so that the hidden colour of a transparent pixel has no influence: the
    result is the same as for the image saved without transparency.
    """
    if image.mode in {"I", "I;16", "I;16B", "I;16L", "I;16N"}:
        # Pillow's own conversion clips at 255. Keep the high byte, as Pillow does for 16-bit colour.
        values = np.asarray(image)
        grey = (values >> 8).astype(np.uint8)
        grey[values == image.info.get("transparency", -1)] = WHITE
        return Image.fromarray(grey)
    if image.has_transparency_data:
        return _on_white(image if image.mode == "RGBA" else image.convert("RGBA"))
    if image.mode == "1":
        return image.convert("L")
    return image if image.mode in {"L", "RGB"} else image.convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    canvas = Image.new("RGB", image.size, "white")
    canvas.paste(image, mask=image)  # one copy less than alpha_composite, which needs a white RGBA image
    return canvas
