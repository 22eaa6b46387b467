"""The pixels of all photographs in one file: cut and resized by the worker's own code, and not scaled yet."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from tfleet.training.errors import RetrainFailedError
from tfleet.training.vectors import PassProgress
from tfleet.worker.image.errors import ImageError

if TYPE_CHECKING:
    from tfleet.training.decoding import PhotoDecoder
    from tfleet.training.photos import FoundPhotos
    from tfleet.training.results import Photo
    from tfleet.worker.image.geometry import Geometry

_AT_ONCE: Final = 64
_MEGABYTE: Final = 1_000_000


class PixelReader:
    """Reads photographs as uint8[height, width, 3]. From any thread."""

    def __init__(self, found: FoundPhotos, decoder: PhotoDecoder, geometry: Geometry) -> None:
        self._found = found
        self._decoder = decoder
        self._geometry = geometry

    def __repr__(self) -> str:
        return f"<PixelReader {self._found.root} {self._geometry}>"

    @property
    def bytes(self) -> int:
        """Of one photograph."""
        return self._geometry.height * self._geometry.width * 3

    def read(self, photo: Photo) -> npt.NDArray[np.uint8]:
        """Raises RetrainFailedError for a photograph that is not what it was when its vector was made."""
        try:
            content = self._found.read(photo.path)
            if hashlib.sha256(content).hexdigest() != photo.sha256:
                raise RetrainFailedError(f"{photo.path}: has changed meanwhile; start again")
            return self._decoder.cropped(content, self._geometry)
        except (ImageError, OSError) as error:
            raise RetrainFailedError(f"{photo.path}: cannot be read any more: {error}") from error


def write_pixels(
    photos: Sequence[Photo],
    reader: PixelReader,
    path: Path,
    threads: int,
    report: Callable[[PassProgress], None],
) -> None:
    """Write them one after the other. Raises RetrainFailedError, and OSError for a disk that is full."""
    needed, free = len(photos) * reader.bytes, shutil.disk_usage(path.parent).free
    if free < needed:
        raise RetrainFailedError(
            f"{path.parent}: fine-tuning writes {needed / _MEGABYTE:,.0f} MB there, and only "
            f"{free / _MEGABYTE:,.0f} MB are free"
        )
    with path.open("wb") as file:
        for done, pixels in enumerate(_all(photos, reader, threads), 1):
            file.write(pixels.tobytes())
            report(PassProgress(done, len(photos), 0))


def _all(photos: Sequence[Photo], reader: PixelReader, threads: int) -> Iterator[npt.NDArray[Any]]:
    with ThreadPoolExecutor(threads, thread_name_prefix="pixels") as pool:
        for start in range(0, len(photos), _AT_ONCE):
            yield from pool.map(reader.read, photos[start : start + _AT_ONCE])
