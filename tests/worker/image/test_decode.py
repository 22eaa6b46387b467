"""A picture is opened by its header, and everything that can be wrong with it has a name."""

import io
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from structlog.testing import capture_logs

from tests.support.photos import PHOTOS
from tests.support.pngs import chunk, png
from tfleet.worker.image.decode import decoder_errors, load, orientation, to_grey_or_rgb, turn_upright
from tfleet.worker.image.errors import (
    BrokenImageError,
    NoImageError,
    TooCostlyError,
    TooManyPixelsError,
    UnsupportedFormatError,
)
from tfleet.worker.image.formats import read_header
from tfleet.worker.image.limits import ImageLimits

_LIMITS = ImageLimits()


def _saved(image: Image.Image, format_name: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_name, **options)
    return buffer.getvalue()


def test_an_empty_body_is_no_image() -> None:
    with pytest.raises(NoImageError, match="empty"):
        read_header(b"", _LIMITS)


def test_text_is_no_image_whatever_it_is_called() -> None:
    with pytest.raises(NoImageError, match="not an image: send one of JPEG, PNG, GIF, BMP, WEBP, AVIF"):
        read_header(b"I am a text in a file named cat.jpg", _LIMITS)


@pytest.mark.parametrize(
    ("data", "name"),
    [(b"II*\0....", "TIFF"), (b"\0\0\0\x18ftypcrx ", "CR3"), (b"<svg>", "SVG"), (b"%PDF-1.7", "PDF")],
)
def test_a_format_that_is_not_read_is_named(data: bytes, name: str) -> None:
    with pytest.raises(UnsupportedFormatError, match=rf"{name}.* is not supported"):
        read_header(data, _LIMITS)


def test_a_header_cut_off_is_a_broken_image() -> None:
    with pytest.raises(BrokenImageError, match="JPEG image is damaged or cut off"):
        read_header(PHOTOS["cat"].read_bytes()[:20], _LIMITS)


def _huge_gif() -> bytes:
    data = bytearray(_saved(Image.new("L", (1, 1)), "GIF"))
    data[6:10] = b"\xff\xff\xff\xff"
    return bytes(data)


def _gif_with_a_huge_frame() -> bytes:
    data = bytearray(_saved(Image.new("L", (1, 1)), "GIF"))
    frame = data.index(b",\0\0\0\0\1\0\1\0")
    data[frame + 5 : frame + 9] = b"\xff\xff\xff\xff"
    return bytes(data)


def _huge_bmp() -> bytes:
    data = bytearray(_saved(Image.new("L", (1, 1)), "BMP"))
    data[18:26] = (50_000).to_bytes(4, "little") * 2
    return bytes(data)


def _huge_jpeg() -> bytes:
    data = bytearray(_saved(Image.new("L", (1, 1)), "JPEG"))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = b"\xc3\x50\xc3\x50"
    return bytes(data)


def _huge_webp() -> bytes:
    data = bytearray(_saved(Image.new("RGB", (1, 1)), "WEBP", lossless=True))
    data[21:25] = b"\xff\xff\xff\x0f"  # 16384 x 16384
    return bytes(data)


@pytest.mark.parametrize(
    "make",
    [
        lambda: png(50_000, 50_000, grey_rows=bytes(100_000)),
        _huge_gif,
        _gif_with_a_huge_frame,
        _huge_bmp,
        _huge_jpeg,
        _huge_webp,
    ],
)
def test_too_many_pixels_are_refused_before_any_is_allocated(make: Callable[[], bytes]) -> None:
    data = make()
    assert len(data) < 10_000
    tracemalloc.start()
    resident = _peak_resident()
    try:
        with pytest.raises(TooManyPixelsError, match="--max-pixels allows 64000000"):
            read_header(data, _LIMITS)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    assert _peak_resident() - resident < 8_000_000  # what Pillow allocates in C is not traced


def _peak_resident() -> int:
    """Bytes; the highest so far."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
def test_a_png_with_text_bombs_costs_nearly_nothing(kind: bytes) -> None:
    bomb = zlib.compress(bytes(50_000_000), 9)
    body = b"a\0\1\0\0\0" + bomb if kind == b"iTXt" else b"a\0\0" + bomb
    data = png(1, 1, *[chunk(kind, body)] * 40, grey_rows=bytes(2))
    resident = _peak_resident()
    load(read_header(data, _LIMITS))
    assert _peak_resident() - resident < 64_000_000


def test_the_pixel_limit_is_exact() -> None:
    data = _saved(Image.new("L", (10, 10)), "PNG")
    assert read_header(data, ImageLimits(100)).pixels == 100
    with pytest.raises(TooManyPixelsError):
        read_header(data, ImageLimits(99))


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_the_orientation_is_read_from_exif(value: int, format_name: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = value
    header = read_header(_saved(Image.new("RGB", (8, 4)), format_name, exif=exif), _LIMITS)
    assert orientation(header, load(header)) == value


def test_an_invalid_orientation_is_ignored() -> None:
    image = Image.new("RGB", (8, 4))
    assert turn_upright(image, 9) is image


def test_the_high_byte_of_16_bit_grey_is_kept() -> None:
    deep = Image.fromarray(np.array([[0x0000, 0x00FF, 0x8000, 0xFFFF]], dtype=np.uint16))
    header = read_header(_saved(deep, "PNG"), _LIMITS)
    assert np.asarray(to_grey_or_rgb(load(header))).tolist() == [[0, 0, 128, 255]]


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "LA", "RGBA", "PA"])
def test_every_mode_becomes_grey_or_rgb(mode: str) -> None:
    image = to_grey_or_rgb(Image.new("RGB", (2, 2), "white").convert(mode))
    assert image.mode in {"L", "RGB"}
    assert np.asarray(image.convert("RGB")).tolist() == [[[255] * 3] * 2] * 2


def test_white_shows_through_what_is_transparent() -> None:
    half = Image.new("RGBA", (1, 1), (0, 0, 0, 128))
    assert np.asarray(to_grey_or_rgb(half))[0, 0].tolist() == [127, 127, 127]


def test_any_decoder_exception_is_a_bad_image() -> None:
    with capture_logs() as logs:
        with pytest.raises(BrokenImageError, match="the PNG image is damaged or cut off"):
            with decoder_errors("PNG"):
                raise AssertionError("palette")
        with pytest.raises(BrokenImageError):
            with decoder_errors("PNG"):
                raise OSError("broken data stream")
    assert [entry["error"] for entry in logs] == ["AssertionError('palette')"]


def test_too_little_memory_makes_a_picture_too_costly() -> None:
    with pytest.raises(TooCostlyError, match="send a smaller one"):
        with decoder_errors("PNG"):
            raise MemoryError


@pytest.mark.parametrize(
    ("before", "format_name"), [(b"\r\n", "JPEG"), (b"\xef\xbb\xbf", "PNG"), (b"\n\n\r\n ", "GIF")]
)
def test_line_ends_and_marks_before_a_picture_are_passed_over(before: bytes, format_name: str) -> None:
    data = _saved(Image.new("RGB", (8, 4)), format_name)
    assert read_header(before + data, _LIMITS) == read_header(data, _LIMITS)


def test_a_file_over_a_bound_is_not_called_damaged() -> None:
    data = _saved(Image.new("RGB", (8, 4)), "JPEG")
    with pytest.raises(
        BrokenImageError, match=r"^the JPEG image has more than 1000 segments .*: save it again"
    ):
        read_header(data[:2] + b"\xff\xfe\0\2" * 2000 + data[2:], _LIMITS)


def test_an_error_says_where_a_picture_begins() -> None:
    data = b"--boundary\r\n\r\n" + _saved(Image.new("RGB", (8, 4)), "JPEG")
    with pytest.raises(NoImageError, match="not an image, but a JPEG begins at byte 14"):
        read_header(data, _LIMITS)
