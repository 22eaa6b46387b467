"""What a graph is fed with: pixels at its size, or bytes for a graph that decodes by itself.

A picture whose header says that it is cheap is decoded here, in the thread that asks. A costly one goes to a
decoder process where there are any (`Apart`), which can be ended, and whose memory comes back with it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from tfleet.worker.image.cost import Cost, cost_of
from tfleet.worker.image.decode import (
    damage_as_broken,
    lies_on_its_side,
    load,
    orientation,
    resampleable,
    set_upright,
)
from tfleet.worker.image.errors import TooCostlyError
from tfleet.worker.image.formats import read_header
from tfleet.worker.image.geometry import Geometry
from tfleet.worker.image.headers.header import UPRIGHT, Header
from tfleet.worker.image.headers.jpeg import END
from tfleet.worker.image.limits import ImageLimits
from tfleet.worker.image.resample import resample_points

# libjpeg can decode to 1/2, 1/4 or 1/8 for a fraction of the time and memory. Up to twice the model's size is
# left to the resampler: of 12 megapixels a quarter of each side. With an eighth the labels of close calls
# begin to change, for a tenth of the time that is left: most of it goes into the entropy coding of the file,
# which every reader has to undo (docs/benchmarks/decoders.md).
_DRAFT_GAP: Final = 2
_SMALLEST: Final = 8  # of libjpeg's scales

Apart = Callable[[str, Mapping[str, Any], bytes, Cost], tuple[Mapping[str, Any], bytes]]
"""Does one of `JOBS`, by its name, in another process: takes the job's arguments, the picture and its cost,
and gives what the job gives. Raises subclasses of `ImageError`."""


def pixels(
    data: bytes, limits: ImageLimits, geometry: Geometry, apart: Apart | None = None
) -> npt.NDArray[np.uint8]:
    """Decode, crop and resample a picture: `uint8[height, width, 3]`, red, green, blue, 0 to 255, upright.

    Raises subclasses of `ImageError`.
    """
    header = read_header(data, limits)
    scale = _scale(header, geometry)
    cost = cost_of(header, scale)
    if apart is not None and cost.apart:
        arguments = header_arguments(header) | {"geometry": dataclasses.asdict(geometry)}
        _, raw = apart("pixels", arguments, header.picture, cost)
        return np.frombuffer(raw, dtype=np.uint8).reshape(geometry.height, geometry.width, 3)
    with limits.held(*(math.ceil(side / scale) for side in (header.width, header.height))):
        return _pixels(header, geometry)


def encoded(data: bytes, limits: ImageLimits, apart: Apart | None = None) -> bytes:
    """A picture that TensorFlow's DecodeJpeg reads as RGB or grey, upright: JPEG bytes unchanged, or a PNG.

    An upright JPEG in grey or RGB passes through, without its metadata. Anything else is decoded here and
    written as PNG, which loses nothing and which that operation reads as well.

    Raises subclasses of `ImageError`.
    """
    header = read_header(data, limits)
    cost = cost_of(header)
    if apart is not None and cost.apart:
        answer, raw = apart("encoded", header_arguments(header), header.picture, cost)
        return header.picture if answer.get("unchanged") else raw
    with limits.held(header.width, header.height):
        return _encoded(header)


def _pixels(header: Header, geometry: Geometry) -> npt.NDArray[np.uint8]:
    """It is cropped and resampled in one pass as it is stored; only the small result is turned upright."""
    stored = geometry.turned() if lies_on_its_side(header.orientation) else geometry
    gap = (stored.width * _DRAFT_GAP, stored.height * _DRAFT_GAP)
    image = load(header, gap if geometry.antialias else None)
    with damage_as_broken(header.format):
        turn = orientation(header, image)
        stored = geometry.turned() if lies_on_its_side(turn) else geometry
        flat = resampleable(image)
        box = stored.box(*flat.size)
        if geometry.antialias:
            small = flat.resize(
                (stored.width, stored.height), Image.Resampling[stored.resample.upper()], box=box
            ).convert("RGB")
        else:
            points = resample_points(
                np.asarray(flat.convert("RGB")), (stored.height, stored.width), box, stored.resample
            )
            small = Image.fromarray(points)
        return np.asarray(set_upright(small, turn))


def _encoded(header: Header) -> bytes:
    if header.format == "JPEG" and header.orientation == UPRIGHT:
        # At 1/8 only the entropy coding is undone in full, which is what proves that the file is whole.
        complete = END in header.picture
        image = load(header, (1, 1) if complete else None)
        if image.mode in {"L", "RGB"}:
            return header.picture if complete else header.picture.rstrip(b"\xff") + END
    image = load(header)
    buffer = io.BytesIO()
    with damage_as_broken(header.format):
        upright = set_upright(resampleable(image), orientation(header, image)).convert("RGB")
        # Nobody keeps this PNG: level 1 is several times as fast as the default.
        upright.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _scale(header: Header, geometry: Geometry) -> int:
    """At 1/what of its sides a JPEG will be decoded, as `Image.draft` chooses it; 1 for all else."""
    if header.format != "JPEG" or not geometry.antialias:
        return 1
    stored = geometry.turned() if lies_on_its_side(header.orientation) else geometry
    room = min(
        header.width // (stored.width * _DRAFT_GAP), header.height // (stored.height * _DRAFT_GAP), _SMALLEST
    )
    return 1 << max(0, room.bit_length() - 1)


# What a decoder process does. Arguments and answers are JSON, pictures and pixels are bytes beside them.


def header_arguments(header: Header) -> dict[str, Any]:
    """What a job is told of a picture's header, as JSON has it."""
    values = dataclasses.asdict(dataclasses.replace(header, picture=b""))
    return {"header": {name: value for name, value in values.items() if name != "picture"}}


def _pixels_job(arguments: Mapping[str, Any], picture: bytes) -> tuple[Mapping[str, Any], bytes]:
    with _memory_errors():
        header = Header(**arguments["header"], picture=picture)
        return {}, _pixels(header, Geometry(**arguments["geometry"])).tobytes()


def _encoded_job(arguments: Mapping[str, Any], picture: bytes) -> tuple[Mapping[str, Any], bytes]:
    with _memory_errors():
        result = _encoded(Header(**arguments["header"], picture=picture))
        return ({"unchanged": True}, b"") if result is picture else ({}, result)


@contextlib.contextmanager
def _memory_errors() -> Iterator[None]:
    """The process that a picture was too large for is replaced, so it has to be seen as what it is."""
    try:
        yield
    except TooCostlyError as error:
        raise MemoryError from error


JOBS: Final = {"pixels": _pixels_job, "encoded": _encoded_job}
