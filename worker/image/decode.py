"""From a header and the bytes behind it to pixels: red, green and blue, on white.

The rules of this module: Pillow may only try the format that the header is of, and whatever it says of a bad
file leaves here as an `ImageError`, and is logged where it is nothing that it should say. Colour profiles are
not applied: models are trained on pixels as they are stored.
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
from tfleet.worker.image.formats import HEIC, damaged
from tfleet.worker.image.headers import jpeg, png
from tfleet.worker.image.headers.header import UPRIGHT, Header, HeaderError

# Pillow's own limit is the process's, and a warning before it is an error. `ImageLimits` replaces it.
Image.MAX_IMAGE_PIXELS = None
# Pillow warns of oddities (bad EXIF, malformed MPO) that are no concern of whoever runs the worker.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

ORIENTATION: Final = 0x0112  # the EXIF tag
WHITE: Final = 255

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

# What Pillow's readers raise on damaged files. Anything else is the image's fault, too, but worth a log line.
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
# What is put behind a JPEG that lacks its end. A decoder that still needs bits gets zeros of the first, as
# libjpeg makes them up at a marker, and others of the second, which begins with a one.
_TAILS: Final = (jpeg.END, b"\xb6\xdb" * 32 + jpeg.END)


# The values of pixels whose coefficients are all 0, as they are and inverted (CMYK).
_MADE_UP: Final = frozenset({127, 128})


@contextmanager
def damage_as_broken(format_name: str) -> Iterator[None]:
    """Turn what a decoder raises into `BrokenImageError`, a lack of memory into `TooCostlyError`."""
    try:
        yield
    except ImageError:
        raise
    except MemoryError as error:
        raise out_of_memory(format_name) from error
    except Exception as error:
        if not isinstance(error, _DAMAGE):
            log: Any = structlog.get_logger()
            log.warning("a decoder failed", format=format_name, error=repr(error)[:200])
        lines = str(error).splitlines() or ["unreadable"]
        # Pillow shows the file object with its address, which tells the sender nothing.
        raise damaged(
            format_name, "unreadable header" if "BytesIO" in lines[0] else lines[0][:150]
        ) from error


def out_of_memory(format_name: str) -> TooCostlyError:
    """The error for a picture that there is no memory for."""
    return TooCostlyError(
        f"decoding this {format_name} image takes more memory than one may have: send a smaller one"
    )


def load(header: Header, draft: tuple[int, int] | None = None) -> Image.Image:
    """The picture with all its pixels; a JPEG may be decoded at 1/2, 1/4 or 1/8, but no smaller than `draft`.

    Raises `BrokenImageError` and `TooCostlyError`: nothing that is incomplete is given as a picture.
    """
    with damage_as_broken(header.format):
        if header.format == "PNG":
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
    # libjpeg makes up grey blocks for those that are missing, without a word. A picture that really ends in
    # such a grey is decoded once more, to see whether it needs what is not there.
    if _ends_grey(image) and _without_end(header, jpeg.before_end(header.picture), draft) is None:
        raise HeaderError("pixels are missing at its end")
    return image


def _ends_grey(image: Image.Image) -> bool:
    last = image.getpixel((image.width - 1, image.height - 1))
    return set(last if isinstance(last, tuple) else (last,)) <= _MADE_UP


def _load(header: Header, picture: bytes, draft: tuple[int, int] | None) -> Image.Image:
    if header.format == HEIC:
        from pillow_heif import HeifImageFile  # noqa: PLC0415 - an extra, and only for decoder processes

        image: ImageFile.ImageFile = HeifImageFile(io.BytesIO(picture))
    else:
        image = Image.open(io.BytesIO(picture), formats=(header.format,))
    if image.width * image.height > header.pixels:
        raise HeaderError(f"it states {header.pixels} pixels and has {image.width} x {image.height}")
    if draft is not None:
        image.draft(None, draft)
    image.load()
    return image


def _without_end(header: Header, picture: bytes, draft: tuple[int, int] | None) -> Image.Image | None:
    """A JPEG that lacks nothing but its end marker; None where anything else is missing.

    It is decoded with two different tails. Where bits are missing they come out of the tail, and the pixels
    differ. Missing scans of a progressive one would not show in that, so they are looked for beforehand.
    """
    picture = picture.rstrip(b"\xff")
    if jpeg.lacks_scans(picture):
        return None
    one, other = (_load(header, picture + tail, draft) for tail in _TAILS)
    return one if one.tobytes() == other.tobytes() else None


def orientation(header: Header, image: Image.Image) -> int:
    """EXIF's orientation, 1 to 8: the header's or, of an AVIF, what the library makes of its boxes."""
    if header.format != "AVIF":
        return header.orientation
    value = image.getexif().get(ORIENTATION)
    return value if value in _TRANSPOSES else UPRIGHT


def lies_on_its_side(value: int) -> bool:
    """Whether an EXIF orientation swaps width and height."""
    return value in {5, 6, 7, 8}


def set_upright(image: Image.Image, value: int) -> Image.Image:
    """The picture as it is to be seen, by its EXIF orientation."""
    transpose = _TRANSPOSES.get(value)
    return image if transpose is None else image.transpose(transpose)


def resampleable(image: Image.Image) -> Image.Image:
    """Bring any mode of the formats that are read to L or RGB, with white behind what is transparent.

    White is put there before anything is resampled: what a transparent pixel's colour is then counts nowhere,
    and the result is that of the same picture saved without transparency.
    """
    if image.mode in {"I", "I;16", "I;16B", "I;16L", "I;16N"}:
        # Pillow's own conversion clips at 255. The high byte is what it keeps of 16-bit colour.
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
    canvas.paste(image, mask=image)  # one copy less than alpha_composite, which needs a white RGBA first
    return canvas
