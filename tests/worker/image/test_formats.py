"""The first bytes say what a file is, whatever its name says."""

import io

import pytest
from PIL import Image

from tests.support.photos import PHOTOS
from tfleet.worker.image.formats import embedded_picture, leading_blank_bytes, sniff

_TIFF = "TIFF (or a camera's raw picture: DNG, NEF, ARW)"


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\xff\xd8\xff\xe0", "JPEG"),
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"GIF87a", "GIF"),
        (b"GIF89a", "GIF"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "WEBP"),
        (b"BM" + bytes(12) + b"\x28\0\0\0", "BMP"),
        (b"II*\x00", _TIFF),
        (b"MM\x00*", _TIFF),
        (b"\0\0\0\x18ftypheic", "HEIC"),
        (b"\0\0\0\x18ftypavif", "AVIF"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avif", "AVIF"),
        (b"\0\0\0\x1cftypmsf1\0\0\0\0miafheic", "HEIC"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1", "HEIF"),
        (b"\0\0\0\x18ftypisom", "MP4"),
        (b"\0\0\0\x18ftypcrx ", "a camera's raw picture (CR3)"),
        (b"II*\0\x10\0\0\0CR\2\0", "a camera's raw picture (CR2)"),
        (b"IIU\0\x08\0\0\0", "a camera's raw picture (RW2)"),
        (b"IIRO\x08\0\0\0", "a camera's raw picture (ORF)"),
        (b"FUJIFILMCCD-RAW 0201", "a camera's raw picture (RAF)"),
        (b"\0\0\2\0\1\0\x20\x20", "CUR"),
        (b"icns\0\0\1\0", "ICNS"),
        (b"\0\0\2\0\0\0\0\0\0\0\0\0\x40\0\x30\0\x18\0", "TGA"),
        (b"\0\1\1\0\0\0\1\x18\0\0\0\0\x40\0\x30\0\x08\0", "TGA"),
        (b"\x0a\5\1\x08" + bytes(124), "PCX"),
        (b"\1\xda\1\1\0\3\0\x40", "SGI"),
        (b"\x80\1\0\0\x11\xaf\2\0", "FLI or FLC"),
        (b"\x80\1\0\0\x12\xaf\2\0", "FLI or FLC"),
        (b"\x8aMNG\r\n\x1a\n", "MNG"),
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
def test_bytes_that_are_no_picture_have_no_format(data: bytes) -> None:
    assert sniff(data) is None


def test_a_photograph_is_a_jpeg() -> None:
    assert sniff(PHOTOS["cat"].read_bytes()) == "JPEG"


def test_a_tga_is_known_by_its_footer() -> None:
    assert sniff(bytes(99) + b"TRUEVISION-XFILE.\0") == "TGA"


@pytest.mark.parametrize("format_name", ["TGA", "PCX", "SGI", "ICNS", "ICO", "TIFF", "PPM"])
def test_formats_written_by_pillow_are_recognised(format_name: str) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48)).save(buffer, format_name)
    expected = {"PPM": "Netpbm", "TIFF": _TIFF}.get(format_name, format_name)
    assert sniff(buffer.getvalue()) == expected


@pytest.mark.parametrize(
    ("before", "glued"),
    [
        (b"\r\n", 2),
        (b"\n" * 16, 16),
        (b"\xef\xbb\xbf", 3),
        (b"\xff\xfe", 2),
        (b"", 0),
        (b"\n" * 17, 0),
        (b"x", 0),
        (b"\r\nx", 0),
    ],
)
def test_line_ends_blanks_and_marks_are_glued(before: bytes, glued: int) -> None:
    assert leading_blank_bytes(before + PHOTOS["cat"].read_bytes()) == glued
    assert leading_blank_bytes(before + b"text") == 0


def test_a_picture_inside_of_something_else_is_found() -> None:
    assert embedded_picture(b"From: me\r\n\r\n" + PHOTOS["cat"].read_bytes()) == ("JPEG", 12)
    assert embedded_picture(b"no picture " * 1000) is None
