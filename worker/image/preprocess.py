"""Turn the bytes of an image into the input of a graph: pixels of its size, or bytes that the graph decodes.

An image whose header says that it is cheap is decoded here, in the calling thread. A costly one goes to a
decoder process where there are any (`IsolatedDecode`): the process can be killed, and all its memory is freed
with it.
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

from tfleet.worker.image.cost import Cost, estimate_cost
from tfleet.worker.image.decode import (
    decoder_errors,
    load,
    orientation,
    swaps_sides,
    to_grey_or_rgb,
    turn_upright,
)
from tfleet.worker.image.errors import TooCostlyError
from tfleet.worker.image.formats import read_header
from tfleet.worker.image.geometry import Geometry
from tfleet.worker.image.headers.header import UPRIGHT, DecodeWork, Header
from tfleet.worker.image.headers.jpeg import END
from tfleet.worker.image.limits import ImageLimits
from tfleet.worker.image.resample import resample_points

# libjpeg can decode to 1/2, 1/4 or 1/8 for a fraction of the time and memory. The draft keeps at least twice
# the model's size for the resampler: a quarter of each side of 12 megapixels. At an eighth the labels of
# close calls begin to change, and it would save only a tenth of the remaining time, most of which is Huffman
# decoding (docs/benchmarks/decoders.md).
_DRAFT_FACTOR: Final = 2
_MAX_SCALE: Final = 8  # libjpeg's

IsolatedDecode = Callable[[str, Mapping[str, Any], bytes, Cost], tuple[Mapping[str, Any], bytes]]
"""Runs the named job of `JOBS` in another process: takes its name and arguments, the image's bytes and the
cost, and returns what the job returns. Raises subclasses of `ImageError`."""


def pixels(
    data: bytes, limits: ImageLimits, geometry: Geometry, isolated: IsolatedDecode | None = None
) -> npt.NDArray[np.uint8]:
    """Decode, crop and resample an image: `uint8[height, width, 3]`, red, green, blue, 0 to 255, upright.

    Raises subclasses of `ImageError`.
    """
    header = read_header(data, limits)
    scale = _scale(header, geometry)
    cost = estimate_cost(header, scale)
    if isolated is not None and cost.isolated:
        arguments = header_arguments(header) | {"geometry": dataclasses.asdict(geometry)}
        _, raw = isolated("pixels", arguments, header.picture, cost)
        return np.frombuffer(raw, dtype=np.uint8).reshape(geometry.height, geometry.width, 3)
    with limits.held(*(math.ceil(side / scale) for side in (header.width, header.height))):
        return _pixels(header, geometry)


def decoding_cost(data: bytes, limits: ImageLimits, geometry: Geometry | None) -> Cost:
    """What `pixels` would cost, or `encoded` without a geometry, from the image's header.

    Raises subclasses of `ImageError`.
    """
    header = read_header(data, limits)
    return estimate_cost(header, 1 if geometry is None else _scale(header, geometry))


def with_channels(rgb: npt.NDArray[np.uint8], depth: int) -> npt.NDArray[np.uint8]:
    """RGB pixels as `uint8[height, width, depth]`: grey for 1, and with an opaque alpha channel for 4."""
    if depth == 1:
        return np.asarray(Image.fromarray(rgb).convert("L"))[..., None]
    return np.asarray(Image.fromarray(rgb).convert("RGBA")) if depth > rgb.shape[-1] else rgb


def encoded(data: bytes, limits: ImageLimits, isolated: IsolatedDecode | None = None) -> bytes:
    """The bytes of an upright image that TensorFlow's DecodeJpeg reads as RGB or grey: a JPEG or a PNG.

    An upright JPEG in grey or RGB is passed on without its metadata. Anything else is decoded here and
    written as PNG, which is lossless and which DecodeJpeg reads as well.

    Raises subclasses of `ImageError`.
    """
    header = read_header(data, limits)
    cost = estimate_cost(header)
    if isolated is not None and cost.isolated:
        answer, raw = isolated("encoded", header_arguments(header), header.picture, cost)
        return header.picture if answer.get("unchanged") else raw
    with limits.held(header.width, header.height):
        return _encoded(header)


def _pixels(header: Header, geometry: Geometry) -> npt.NDArray[np.uint8]:
    """Crop and resample in one pass as the image is stored; only the small result is turned upright."""
    stored = geometry.transposed() if swaps_sides(header.orientation) else geometry
    draft = (stored.width * _DRAFT_FACTOR, stored.height * _DRAFT_FACTOR)
    # A draft is an average of pixels, which a model without antialiasing was not trained on.
    image = load(header, draft if geometry.antialias else None)
    with decoder_errors(header.format):
        # Asked again: an AVIF's orientation is known only after decoding.
        upright_by = orientation(header, image)
        stored = geometry.transposed() if swaps_sides(upright_by) else geometry
        flat = to_grey_or_rgb(image)
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
        return np.asarray(turn_upright(small, upright_by))


def _encoded(header: Header) -> bytes:
    if header.format == "JPEG" and header.orientation == UPRIGHT:
        # Decoding at 1/8 is cheap, and still reads every Huffman code: that proves that the file is complete.
        complete = END in header.picture
        image = load(header, (1, 1) if complete else None)
        if image.mode in {"L", "RGB"}:
            return header.picture if complete else header.picture.rstrip(b"\xff") + END
    image = load(header)
    buffer = io.BytesIO()
    with decoder_errors(header.format):
        upright = turn_upright(to_grey_or_rgb(image), orientation(header, image)).convert("RGB")
        # This PNG is thrown away after one run: level 1 is several times as fast as the default.
        upright.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _scale(header: Header, geometry: Geometry) -> int:
    """The scale (1, 2, 4 or 8) that `Image.draft` will choose for a JPEG; 1 for all other formats."""
    if header.format != "JPEG" or not geometry.antialias:
        return 1
    stored = geometry.transposed() if swaps_sides(header.orientation) else geometry
    room = min(
        header.width // (stored.width * _DRAFT_FACTOR),
        header.height // (stored.height * _DRAFT_FACTOR),
        _MAX_SCALE,
    )
    return 1 << max(0, room.bit_length() - 1)


# The jobs of a decoder process. Arguments and answers are JSON; images and pixels are bytes beside them.


def header_arguments(header: Header) -> dict[str, Any]:
    """The arguments of a job that describe an image's header, without its bytes, as JSON objects."""
    values = dataclasses.asdict(dataclasses.replace(header, picture=b""))
    return {"header": {name: value for name, value in values.items() if name != "picture"}}


def _header(arguments: Mapping[str, Any], picture: bytes) -> Header:
    values = arguments["header"]
    return Header(**values | {"work": DecodeWork(**values["work"])}, picture=picture)


def _pixels_job(arguments: Mapping[str, Any], picture: bytes) -> tuple[Mapping[str, Any], bytes]:
    with _memory_errors():
        return {}, _pixels(_header(arguments, picture), Geometry(**arguments["geometry"])).tobytes()


def _encoded_job(arguments: Mapping[str, Any], picture: bytes) -> tuple[Mapping[str, Any], bytes]:
    with _memory_errors():
        result = _encoded(_header(arguments, picture))
        return ({"unchanged": True}, b"") if result is picture else ({}, result)


@contextlib.contextmanager
def _memory_errors() -> Iterator[None]:
    """Report a lack of memory as `MemoryError`: the pool replaces a decoder process that has run into one."""
    try:
        yield
    except TooCostlyError as error:
        raise MemoryError from error


JOBS: Final = {"pixels": _pixels_job, "encoded": _encoded_job}
