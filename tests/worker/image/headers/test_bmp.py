"""A BMP's header says its size and how its pixels are coded."""

import io
import struct

import pytest
from PIL import Image

from tfleet.worker.image.headers.bmp import read
from tfleet.worker.image.headers.header import HeaderError, UnsupportedKindError


def bmp(width: int, height: int, depth: int = 24, coding: int = 0, rest: bytes = b"") -> bytes:
    """A header of 40 bytes and what follows."""
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, depth, coding, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + len(rest), 0, 0, 54) + info + rest


def test_the_size_is_read_in_both_directions() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (7, 5)).save(buffer, "BMP")
    assert (read(buffer.getvalue()).width, read(buffer.getvalue()).height) == (7, 5)
    assert read(bmp(7, -5)).height == 5


def test_run_lengths_are_known_as_such() -> None:
    assert read(bmp(7, 5, 8, 1)).work.coding == "rle"
    assert read(bmp(7, 5, 8)).work.coding == ""


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (
            bmp(7, 5, 32, 3, struct.pack("<III", 0x3FF00000, 0xFFC00, 0x3FF)),
            "bit fields 3ff00000, ffc00, 3ff",
        ),
        (bmp(7, 5, 24, 4), "a JPEG inside"),
        (bmp(7, 5, 24, 5), "a PNG inside"),
        (bmp(7, 5, 64, 0), "64 bits a pixel"),
        (b"BM" + bytes(12) + struct.pack("<I", 16) + bytes(40), "a header of 16 bytes"),
    ],
)
def test_an_unsupported_bmp_compression_is_named(data: bytes, kind: str) -> None:
    with pytest.raises(UnsupportedKindError, match=kind):
        read(data)


def test_bit_fields_that_are_common_are_read() -> None:
    assert read(bmp(7, 5, 16, 3, struct.pack("<III", 0xF800, 0x7E0, 0x1F))).width == 7


@pytest.mark.parametrize("size", [(0, 5), (7, 0), (-7, 5)])
def test_a_picture_without_pixels_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(HeaderError, match="no pixels"):
        read(bmp(*size))


def test_every_cut_of_the_header_is_an_error() -> None:
    data = bmp(7, 5)
    for length in range(18, 34):
        with pytest.raises(HeaderError):
            read(data[:length])
