"""A WebP's size is read from its first chunk, in each of the three layouts."""

import io
from typing import Any

import pytest
from PIL import Image

from tfleet.worker.image.header import webp_size


@pytest.mark.parametrize(
    ("mode", "options", "chunk"),
    [
        ("RGB", {}, b"VP8 "),
        ("RGB", {"lossless": True}, b"VP8L"),
        ("RGB", {"icc_profile": b"a profile makes it an extended file"}, b"VP8X"),
    ],
)
def test_the_size_is_that_of_the_picture(mode: str, options: dict[str, Any], chunk: bytes) -> None:
    buffer = io.BytesIO()
    Image.new(mode, (301, 7)).save(buffer, "WEBP", **options)
    assert buffer.getvalue()[12:16] == chunk
    assert webp_size(buffer.getvalue()) == (301, 7)


def test_the_largest_canvas_is_read() -> None:
    assert webp_size(b"RIFF....WEBPVP8X" + bytes(8) + b"\xff" * 6) == (1 << 24, 1 << 24)


@pytest.mark.parametrize(
    "data", [b"", b"RIFF....WEBPVP8X", b"RIFF....WEBPVP8L" + bytes(20), b"RIFF....WEBPabcd"]
)
def test_what_is_cut_off_or_unknown_has_no_size(data: bytes) -> None:
    assert webp_size(data) is None
