"""What a graph is fed with: pixels at its size, or bytes for a graph that decodes by itself."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from tfleet.worker.image.decode import (
    UPRIGHT,
    damage_as_broken,
    lies_on_its_side,
    on_white,
    open_image,
    orientation,
    resampleable,
    set_upright,
)
from tfleet.worker.image.geometry import Geometry
from tfleet.worker.image.header import webp_size
from tfleet.worker.image.limits import ImageLimits

# libjpeg can decode to 1/2, 1/4 or 1/8 for a fraction of the time and memory. Up to twice the model's size is
# left to the resampler: of 12 megapixels a quarter of each side. With an eighth the labels of close calls
# begin to change, for a tenth of the time that is left: most of it goes into the entropy coding of the file,
# which every reader has to undo (docs/benchmarks/decoders.md).
_DRAFT_GAP: Final = 2


def pixels(data: bytes, limits: ImageLimits, geometry: Geometry) -> npt.NDArray[np.uint8]:
    """Decode, crop and resample a picture: `uint8[height, width, 3]`, red, green, blue, 0 to 255, upright.

    It is cropped and resampled in one pass as it is stored; only the small result is turned upright and put
    onto white, which saves large copies. Raises subclasses of `ImageError`.
    """
    with _opened(data, limits) as image, damage_as_broken(str(image.format)):
        turn = orientation(image)
        stored = geometry.turned() if lies_on_its_side(turn) else geometry
        image.draft(None, (stored.width * _DRAFT_GAP, stored.height * _DRAFT_GAP))
        with _held(image, limits):
            small = resampleable(image).resize(
                (stored.width, stored.height),
                Image.Resampling[stored.resample.upper()],
                box=stored.box(*image.size),
            )
        return np.asarray(set_upright(on_white(small), turn))


def encoded(data: bytes, limits: ImageLimits) -> bytes:
    """A picture that TensorFlow's DecodeJpeg reads as RGB or grey, upright: JPEG bytes unchanged, or a PNG.

    An upright JPEG in grey or RGB passes through. Anything else is decoded here and written as PNG, which
    loses nothing and which that operation reads as well. Raises subclasses of `ImageError`.
    """
    with _opened(data, limits) as image, damage_as_broken(str(image.format)):
        turn = orientation(image)
        if image.format in {"JPEG", "MPO"} and image.mode in {"L", "RGB"} and turn == UPRIGHT:
            # At 1/8 only the entropy coding is undone in full, which is what proves that the file is whole.
            image.draft(None, (1, 1))
            image.load()
            return data
        buffer = io.BytesIO()
        with _held(image, limits):
            upright = set_upright(on_white(resampleable(image)), turn)
            # Nobody keeps this PNG: level 1 is several times as fast as the default.
            upright.save(buffer, "PNG", compress_level=1)
        return buffer.getvalue()


@contextlib.contextmanager
def _opened(data: bytes, limits: ImageLimits) -> Iterator[Image.Image]:
    """The picture, its pixels still to be read; a WebP's, which its reader allocates here, are held."""
    size = webp_size(data)
    if size is None:
        yield open_image(data, limits)
        return
    limits.check(*size)
    with limits.held(*size):
        yield open_image(data, limits)


def _held(image: Image.Image, limits: ImageLimits) -> contextlib.AbstractContextManager[None]:
    """Room for the pixels of a picture that is about to be read."""
    return contextlib.nullcontext() if image.format == "WEBP" else limits.held(*image.size)
