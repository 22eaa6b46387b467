"""Small pictures of photographs, for what is compared and for what is shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from tfleet.training.near_duplicates import SKETCH_SIDE, sketch
from tfleet.training.report import PICTURE_SIDE
from tfleet.training.results import Photo
from tfleet.worker.image.errors import ImageError

if TYPE_CHECKING:
    from tfleet.training.decoding import PhotoDecoder
    from tfleet.training.photos import FoundPhotos

_SKETCHED: Final = 16 * SKETCH_SIDE
"""Pixels of a side of what a sketch is made of."""


class PhotoLooks:
    """Reads photographs again. One that can't be read any more is None."""

    def __init__(self, found: FoundPhotos, decoder: PhotoDecoder) -> None:
        self._found = found
        self._decoder = decoder

    def __repr__(self) -> str:
        return f"<PhotoLooks {self._found.root}>"

    def sketches(self, photos: Sequence[Photo]) -> Iterator[npt.NDArray[np.uint8] | None]:
        """A sketch of each photograph, see `near_duplicates`."""
        for photo in photos:
            try:
                yield sketch(self._decoder.stretched(self._found.read(photo.path), _SKETCHED))
            except (ImageError, OSError):
                yield None

    def thumbnail(self, name: str) -> npt.NDArray[np.uint8] | None:
        """A photograph by its path: uint8[height, width, 3], neither above PICTURE_SIDE."""
        try:
            return self._decoder.thumbnail(self._found.read(name), PICTURE_SIDE)
        except (ImageError, OSError):
            return None
