"""The first bytes say what a file is, whatever its name says."""

import pytest

from tests.worker.image.photos import PHOTOS
from tfleet.worker.image.sniff import sniff


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\xff\xd8\xff\xe0", "JPEG"),
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"GIF87a", "GIF"),
        (b"GIF89a", "GIF"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "WEBP"),
        (b"BM" + bytes(12) + b"\x28\0\0\0", "BMP"),
        (b"II*\x00", "TIFF"),
        (b"MM\x00*", "TIFF"),
        (b"\0\0\0\x18ftypheic", "HEIC"),
        (b"\0\0\0\x18ftypavif", "AVIF"),
        (b"\0\0\0\x18ftypisom", "MP4"),
        (b"\xff\x0a", "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"\0\0\x01\0", "ICO"),
        (b"8BPS", "PSD"),
        (b"%PDF-1.7", "PDF"),
        (b"P6\n1 1", "Netpbm"),
        (b"<svg xmlns='x'>", "SVG"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- drawn -->\n<svg>", "SVG"),
    ],
)
def test_a_format_is_known_by_its_first_bytes(data: bytes, name: str) -> None:
    assert sniff(data) == name


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"B",
        b"BMW is a make of cars, and no bitmap",
        b"Print this",
        b"<?xml version='1.0'?><html>",
        b"RIFF",
        bytes(99),
    ],
)
def test_what_is_no_picture_has_no_format(data: bytes) -> None:
    assert sniff(data) is None


def test_a_photograph_is_a_jpeg() -> None:
    assert sniff(PHOTOS["cat"].read_bytes()) == "JPEG"
