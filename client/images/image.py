"""An image to send: its type, from its first bytes, and its bytes, read without blocking the event loop.

The rules:
- A file of up to HELD_BYTES is read once and kept in memory: one call in a thread for a typical photograph.
- A larger file is streamed from disk for each attempt, so that memory does not grow with it.
- A source that can't be read twice (a pipe, an open file) is read to its end and kept, up to MAX_HELD_BYTES.
- More than HELD_BYTES are sent in pieces.
- A file that can't be read is a BadImageError, like an image that the fleet rejects.
"""

from __future__ import annotations

import asyncio
import os
import re
import stat
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias, TypeGuard, cast

from tfleet.client.body import pieces
from tfleet.client.errors import BadImageError
from tfleet.client.images.pixels import (
    PilImage,
    PixelArray,
    is_pil_image,
    is_pixel_array,
    png_of_array,
    png_of_pil_image,
)
from tfleet.client.text import printable

Source: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | PilImage | PixelArray
"""An image: the path of a file or an http URL, the bytes themselves, a file open for reading in binary mode,
an image of PIL's, or pixels in an array of NumPy's.
"""

HELD_BYTES: Final = 1024 * 1024
MAX_HELD_BYTES: Final = 256 * 1024 * 1024
_CHUNK_BYTES: Final = 256 * 1024
_URL: Final = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)

URL_NOT_FETCHED: Final = "a URL is not fetched: download it and name the file"

UNKNOWN: Final = "image/x-unknown"
"""The type of bytes without a known signature. They are sent all the same: the worker decides what it can
read.
"""

_SIGNATURES: Final = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
)
_RIFF, _WEBP = slice(0, 4), slice(8, 12)
_FTYP, _BRAND = slice(4, 8), slice(8, 12)
_BRANDS: Final = {b"avif": "image/avif", b"avis": "image/avif", b"heic": "image/heic", b"heix": "image/heic"}


def content_type(head: bytes) -> str:
    """The media type of an image that begins with `head` (12 bytes suffice)."""
    if head[_RIFF] == b"RIFF" and head[_WEBP] == b"WEBP":
        return "image/webp"
    if head[_FTYP] == b"ftyp":
        return _BRANDS.get(head[_BRAND], UNKNOWN)
    return next((name for signature, name in _SIGNATURES if head.startswith(signature)), UNKNOWN)


@dataclass(frozen=True, slots=True)
class Image:
    """The bytes in `held` or, if `path` is set, `size` bytes of that file; `content_type` is `image/...`."""

    content_type: str
    size: int
    held: bytes = b""
    path: Path | None = None

    def payload(self, progress: Callable[[], None]) -> bytes | AsyncGenerator[bytes, None]:
        """The body of one request, from the start. `progress` is called for each piece that is sent.

        The generator raises BadImageError if the file can't be read again or has become shorter.
        """
        if self.path is not None:
            return _streamed(self.path, self.size, progress)
        return self.held if self.size <= HELD_BYTES else pieces(self.held, progress)


async def load(source: Source) -> Image:
    """Load an image from a source. Raises BadImageError (status None) if it can't be read, and TypeError for
    another type.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        return _held(bytes(source))
    if isinstance(source, str | os.PathLike):
        return await _in_thread(lambda: _from_path(source))
    if is_pil_image(source):
        return await _in_thread(lambda: _held(png_of_pil_image(source)))
    if is_pixel_array(source):
        return await _in_thread(lambda: _held(png_of_array(source)))
    if not callable(getattr(source, "read", None)):
        raise TypeError(
            f"an image is a path, a URL, bytes, a binary file, a PIL image or a NumPy array, and not "
            f"{type(source).__name__}"
        )
    file = cast("BinaryIO", source)
    return await _in_thread(lambda: _held(_read_to_end(file)))


async def _in_thread(read: Callable[[], Image]) -> Image:
    try:
        return await asyncio.to_thread(read)
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL, a file that was closed
        raise BadImageError(_reason(error)) from error


def is_url(source: object) -> TypeGuard[str]:
    """Whether it is a string with the URL of an image, which a client can fetch."""
    return isinstance(source, str) and source.lower().startswith(("http://", "https://"))


def source_name(source: object) -> str:
    """What an error calls the source: its path or URL, or what it is."""
    if isinstance(source, str | os.PathLike):
        return printable(os.fspath(source))
    if isinstance(source, bytes | bytearray | memoryview):
        return "the bytes"
    if is_pil_image(source):
        return "the PIL image"
    if is_pixel_array(source):
        return "the array"
    name = getattr(source, "name", None)
    return printable(name) if isinstance(name, str) else "the file"


def _from_path(path: str | os.PathLike[str]) -> Image:
    try:
        return _from_file(Path(path))
    except FileNotFoundError:
        if _URL.match(str(path)):
            raise BadImageError(URL_NOT_FETCHED) from None
        raise


def _from_file(path: Path) -> Image:
    with path.open("rb") as file:
        info = os.fstat(file.fileno())
        if not stat.S_ISREG(info.st_mode):
            return _held(_read_to_end(file))
        if info.st_size <= HELD_BYTES:
            return _held(file.read())
        return Image(content_type(file.read(12)), info.st_size, path=path)


def _held(data: bytes) -> Image:
    return Image(content_type(data), len(data), held=data)


def _read_to_end(file: BinaryIO) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while chunk := file.read(_CHUNK_BYTES):  # an unbuffered file may return less than requested
        if not isinstance(chunk, bytes):
            raise TypeError("an image is bytes: open the file in binary mode")
        size += len(chunk)
        if size > MAX_HELD_BYTES:
            raise BadImageError(f"it is larger than {MAX_HELD_BYTES} bytes, and only a file on disk may be")
        chunks.append(chunk)
    return b"".join(chunks)


async def _streamed(path: Path, size: int, progress: Callable[[], None]) -> AsyncGenerator[bytes, None]:
    # An OSError must not leave this generator: aiohttp would treat it as a failure of the connection.
    left = size
    try:
        # The buffered file's lock makes close() wait for a read that a cancelled call left behind in its
        # thread.
        with await asyncio.to_thread(path.open, "rb") as file:
            while left and (chunk := await asyncio.to_thread(file.read, min(_CHUNK_BYTES, left))):
                left -= len(chunk)
                progress()
                yield chunk
    except OSError as error:
        raise BadImageError(_reason(error)) from error
    if left:
        raise BadImageError("the file became shorter while it was sent")


def _reason(error: Exception) -> str:
    strerror = error.strerror if isinstance(error, OSError) else None
    text = strerror or str(error) or type(error).__name__
    return text[:1].lower() + text[1:]
