"""From bytes to what their header says: the format, the size, and what decoding takes. Nothing is decoded."""

from __future__ import annotations

import importlib.util
import struct
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Final

from tfleet.worker.image.errors import BrokenImageError, NoImageError, UnsupportedFormatError
from tfleet.worker.image.headers import bmp, gif, heif, jpeg, png, webp
from tfleet.worker.image.headers.header import BoundError, Header, HeaderError, UnreadKindError
from tfleet.worker.image.limits import ImageLimits
from tfleet.worker.image.sniff import HEIC, READ, glued_bytes, picture_inside, sniff

_READERS: Final[Mapping[str, Callable[[bytes], Header]]] = {
    "JPEG": jpeg.read,
    "PNG": png.read,
    "GIF": gif.read,
    "WEBP": webp.read,
    "BMP": bmp.read,
    "AVIF": partial(heif.read, format_name="AVIF"),
    HEIC: partial(heif.read, format_name=HEIC),
}
_HEIF_LIBRARY: Final = "pillow_heif"


def read_header(data: bytes, limits: ImageLimits) -> Header:
    """What the header of a picture says; its size is within the limits.

    Raises `NoImageError`, `UnsupportedFormatError`, `BrokenImageError` or `TooManyPixelsError`.
    """
    if not data:
        raise NoImageError("the image is empty: send the bytes of a picture")
    format_name = sniff(data)
    if format_name is None and (glued := glued_bytes(data)):
        data = data[glued:]
        format_name = sniff(data)
    if format_name is None:
        raise NoImageError(_no_image(data))
    if format_name not in _READERS:
        raise UnsupportedFormatError(_not_read(format_name))
    if format_name == HEIC and not reads_heic():
        raise UnsupportedFormatError(
            "HEIC is not read by this worker: install its extra, tfleet[heif], or convert the picture to one "
            f"of {', '.join(READ)}"
        )
    try:
        header = _READERS[format_name](data)
    except UnreadKindError as error:
        raise UnsupportedFormatError(_not_read(str(error))) from error
    except BoundError as error:
        raise BrokenImageError(f"the {format_name} image has {error}: save it anew, without that") from error
    except (HeaderError, struct.error, IndexError) as error:
        reason = str(error) if isinstance(error, HeaderError) else "its header is cut off"
        raise damaged(format_name, reason) from error
    limits.check(header.width, header.height)
    if not header.complete:
        raise damaged(format_name, "pixels are missing at its end")
    return header


def damaged(format_name: str, reason: str) -> BrokenImageError:
    """The error for a picture of a format that is read; `reason` is a few words."""
    return BrokenImageError(
        f"the {format_name} image is damaged or cut off ({reason}): send the whole, intact file"
    )


@cache
def reads_heic() -> bool:
    """Whether pillow-heif is installed. It is not imported here: only decoder processes do that."""
    return importlib.util.find_spec(_HEIF_LIBRARY) is not None


def _not_read(what: str) -> str:
    return f"{what} is not read: convert the picture to one of {', '.join(READ)}"


def _no_image(data: bytes) -> str:
    if inside := picture_inside(data):
        format_name, start = inside
        return (
            f"these bytes are not an image, but a {format_name} begins at byte {start}: send it from there on"
        )
    return f"these bytes are not an image: send one of {', '.join(READ)}"
