"""What a picture's header says is costly is decoded in a process of its own, with the same result."""

import contextlib
import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import pytest
from PIL import Image

from tests.support.jpegs import with_many_scans
from tests.worker.image.drawn import saved, stored
from tests.worker.image.headers.test_bmp import bmp
from tfleet.worker.image.cost import Cost, estimate_cost
from tfleet.worker.image.errors import BrokenImageError
from tfleet.worker.image.formats import read_header
from tfleet.worker.image.geometry import Geometry
from tfleet.worker.image.limits import ImageLimits
from tfleet.worker.image.preprocess import JOBS, encoded, header_arguments, pixels

_LIMITS = ImageLimits()
_SMALL = Geometry(24, 24)


class _Apart:
    """Notes what it is asked for, and does it here."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(
        self, name: str, arguments: Mapping[str, Any], picture: bytes, cost: Cost
    ) -> tuple[Mapping[str, Any], bytes]:
        self.asked.append(name)
        answer, raw = JOBS[name](json.loads(json.dumps(arguments)), picture)
        return json.loads(json.dumps(answer)), raw


_COSTLY = {
    "a large PNG": lambda: saved(Image.new("RGB", (4000, 3000)), "PNG", compress_level=1),
    "a large WebP": lambda: saved(Image.new("RGB", (2500, 2500)), "WEBP"),
    "an AVIF of any size": lambda: saved(Image.new("RGB", (20, 10)), "AVIF"),
    "a JPEG of many scans": lambda: with_many_scans(Image.new("RGB", (2000, 2000)), 80),
    "run lengths": lambda: bmp(1000, 1000, 8, 1, bytes(1024) + b"\xff\1" * 60_000),
}


@pytest.mark.parametrize("name", _COSTLY)
def test_costly_pictures_are_decoded_in_a_process(name: str) -> None:
    apart = _Apart()
    data = _COSTLY[name]()
    with contextlib.suppress(BrokenImageError):
        pixels(data, _LIMITS, _SMALL, apart)
    with contextlib.suppress(BrokenImageError):
        encoded(data, _LIMITS, apart)
    assert apart.asked == ["pixels", "encoded"]


@pytest.mark.parametrize(
    ("size", "format_name", "options"),
    [
        ((4000, 3000), "JPEG", {"quality": 90}),
        ((1280, 960), "JPEG", {"progressive": True}),
        ((1000, 800), "PNG", {}),
        ((1000, 800), "WEBP", {}),
        ((1000, 800), "GIF", {}),
        ((1000, 800), "BMP", {}),
    ],
)
def test_cheap_pictures_are_decoded_at_once(size: tuple[int, int], format_name: str, options: Any) -> None:
    apart = _Apart()
    pixels(saved(Image.new("RGB", size), format_name, **options), _LIMITS, Geometry(224, 224), apart)
    assert apart.asked == []


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "AVIF"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_decoder_process_gives_the_same_pixels(format_name: str, orientation: int) -> None:
    data, apart = stored(orientation, format_name), _Apart()
    everything = ImageLimits()
    for name in ("pixels", "encoded"):
        header = read_header(data, everything)
        if name == "pixels":
            arguments = header_arguments(header) | {"geometry": dataclasses.asdict(_SMALL)}
            raw = apart(name, arguments, header.picture, estimate_cost(header))[1]
            assert raw == pixels(data, everything, _SMALL).tobytes()
        else:
            answer, raw = apart(name, header_arguments(header), header.picture, estimate_cost(header))
            assert encoded(data, everything) == (header.picture if answer else raw)
