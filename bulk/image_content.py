"""The images that rows hold or name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tfleet.bulk.sources.storage import is_url, open_url, said, storage_of
from tfleet.contract.names import MAX_BODY_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tfleet.bulk.sources.files import InputFile

_TOO_LARGE: Final = f"the file has more than the {MAX_BODY_BYTES} bytes that an image may have"


@dataclass(frozen=True, slots=True)
class ImageReader:
    """Reads the images of rows. URLs are opened in these `storages` only: those that hold an input.

    A row comes from anybody, and may not send this machine to any address.
    """

    storages: frozenset[str] = frozenset()

    @classmethod
    def of(cls, files: Iterable[InputFile]) -> ImageReader:
        """One for these inputs."""
        return cls(frozenset(storage_of(each.path) for each in files if each.is_url))

    def source(self, value: bytes | str) -> Path | bytes:
        """The image of a row: its bytes, or the file of this machine that the row names.

        Raises OSError and ValueError for a file that is none, or that is too large.
        """
        if isinstance(value, bytes):
            return value
        if is_url(value):
            return self._fetched(value)
        path = Path(value)
        if not path.is_file():  # a pipe would never end
            raise FileNotFoundError("there is no such file")
        if path.stat().st_size > MAX_BODY_BYTES:
            raise OSError(_TOO_LARGE)
        return path

    def content(self, value: bytes | str) -> bytes:
        """The bytes of the image of a row. Raises OSError and ValueError."""
        found = self.source(value)
        return found if isinstance(found, bytes) else found.read_bytes()

    def _fetched(self, url: str) -> bytes:
        if storage_of(url) not in self.storages:
            raise OSError("no input of this run is on its host: URLs of others are not fetched")
        with open_url(url) as file:
            content: bytes = file.read(MAX_BODY_BYTES + 1)
        if len(content) > MAX_BODY_BYTES:
            raise OSError(_TOO_LARGE)
        return content


LOCAL_IMAGES: Final = ImageReader()
"""Reads no URLs."""


def unreadable(error: Exception) -> str:
    """The error of a row whose image cannot be read."""
    return f"the image cannot be read: {said(error) if isinstance(error, OSError) else error}"
