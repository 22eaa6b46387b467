"""The images that rows hold or name."""

from __future__ import annotations

from pathlib import Path

from tfleet.contract.names import MAX_BODY_BYTES


def image_source(value: bytes | str) -> Path | bytes:
    """The image of a row: its bytes, or the file that the row names.

    Raises OSError and ValueError for a file that is none, or that is too large.
    """
    if isinstance(value, bytes):
        return value
    path = Path(value)
    if not path.is_file():  # a pipe would never end
        raise FileNotFoundError("there is no such file")
    if path.stat().st_size > MAX_BODY_BYTES:
        raise OSError(f"the file has more than the {MAX_BODY_BYTES} bytes that an image may have")
    return path


def image_content(value: bytes | str) -> bytes:
    """The bytes of the image of a row. Raises OSError and ValueError."""
    source = image_source(value)
    return source if isinstance(source, bytes) else source.read_bytes()


def unreadable(error: Exception) -> str:
    """The error of a row whose image cannot be read."""
    said = error.strerror if isinstance(error, OSError) else None
    return f"the image cannot be read: {said or error}"
