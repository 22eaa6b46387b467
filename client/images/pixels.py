"""Images that a program has as pixels: PIL's, and NumPy's arrays. They are sent as PNG, without loss.

Neither library is imported, and neither has to be installed.
"""

from __future__ import annotations

import io
import struct
import zlib
from typing import IO, Any, Final, Protocol, TypeGuard

from tfleet.client.errors import BadImageError

_PNG_MODES: Final = frozenset({"1", "L", "LA", "I", "I;16", "P", "RGB", "RGBA"})
_COLOUR_TYPES: Final = {1: 0, 3: 2, 4: 6}
"""PNG's number for grey, RGB and RGBA, by the number of channels."""
_FASTEST: Final = 1
_RANKS: Final = (2, 3)


class PilImage(Protocol):
    """A PIL.Image.Image."""

    @property
    def mode(self) -> str:
        """Such as RGB."""

    def convert(self, mode: str) -> PilImage:
        """The image in another mode."""

    def getexif(self) -> Any:
        """Its EXIF data, with the orientation."""

    def save(self, fp: IO[bytes], format: str | None = None, **params: Any) -> None:  # noqa: A002 - PIL's name
        """Write it."""


class PixelArray(Protocol):
    """A numpy.ndarray."""

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """Its type and shape."""

    def tobytes(self) -> bytes:
        """Its values, row by row."""


def is_pil_image(source: object) -> TypeGuard[PilImage]:
    """Whether it is an image of PIL's, in any of its classes."""
    return any(kind.__module__.partition(".")[0] == "PIL" for kind in type(source).__mro__)


def is_pixel_array(source: object) -> TypeGuard[PixelArray]:
    """Whether it is an array of NumPy's, or looks like one."""
    return hasattr(source, "__array_interface__") and hasattr(source, "tobytes")


def png_of_pil_image(image: PilImage) -> bytes:
    """The image as PNG. Raises OSError where PIL cannot write it."""
    # With the orientation, which a worker applies as it does to the file that the image came from.
    exif = image.getexif()
    buffer = io.BytesIO()
    written = image if image.mode in _PNG_MODES else image.convert("RGB")
    written.save(buffer, "PNG", compress_level=_FASTEST, **({"exif": exif.tobytes()} if exif else {}))
    return buffer.getvalue()


def png_of_array(array: PixelArray) -> bytes:
    """The pixels as PNG. Raises BadImageError for an array of another dtype or shape than a picture has."""
    shape: tuple[int, ...] = tuple(array.__array_interface__["shape"])
    dtype: str = array.__array_interface__["typestr"]
    channels = 1 if len(shape) == _RANKS[0] else shape[-1] if len(shape) == _RANKS[1] else 0
    if dtype != "|u1" or channels not in _COLOUR_TYPES or 0 in shape:
        raise BadImageError(
            "pixels are uint8 from 0 to 255, of shape [height, width], or [height, width, channels] with 1, "
            f"3 or 4 channels, and this is {dtype} {list(shape)}"
        )
    height, width = shape[:2]
    size = width * channels
    rows = memoryview(array.tobytes())
    # Each row has a byte before it that names its filter: 0 is none.
    filtered = b"".join(b"\0" + rows[at : at + size] for at in range(0, height * size, size))
    head = struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPES[channels], 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(filtered, _FASTEST)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
