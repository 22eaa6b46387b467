"""What is missing or damaged is an error, or makes no difference to a pixel."""

import numpy as np
import pytest
from PIL import Image

from tests.support.pngs import png
from tests.worker.image.drawn import photograph, saved
from tfleet.worker.image.errors import BrokenImageError, NoImageError, TooManyPixelsError
from tfleet.worker.image.geometry import Geometry
from tfleet.worker.image.limits import ImageLimits
from tfleet.worker.image.preprocess import encoded, pixels

_LIMITS = ImageLimits()
_SMALL = Geometry(24, 24)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_cut_anywhere_gives_identical_pixels_or_an_error(progressive: bool) -> None:
    data = saved(photograph(), "JPEG", quality=90, progressive=progressive)
    geometry = Geometry(120, 120)
    whole = pixels(data, _LIMITS, geometry)
    accepted = 0
    for percent in range(1, 101):
        for length in {len(data) * percent // 100, len(data) - percent}:
            try:
                out = pixels(data[:length], _LIMITS, geometry)
            except (BrokenImageError, NoImageError):
                continue
            assert (out == whole).all(), f"{length} of {len(data)} bytes"
            accepted += 1
    assert accepted >= 2  # the whole one, and the one without its end marker


@pytest.mark.parametrize("subsampling", [0, 2])
@pytest.mark.parametrize("percent", [20, 50, 95, 99])
def test_a_cut_jpeg_with_an_end_glued_on_is_refused(percent: int, subsampling: int) -> None:
    """libjpeg makes grey of what is missing, and says nothing."""
    data = saved(photograph(), "JPEG", quality=90, subsampling=subsampling)
    for geometry in (Geometry(120, 120), _SMALL):
        with pytest.raises(BrokenImageError, match="pixels are missing at its end"):
            pixels(data[: len(data) * percent // 100] + b"\xff\xd9", _LIMITS, geometry)
    with pytest.raises(BrokenImageError):
        encoded(data[: len(data) * percent // 100] + b"\xff\xd9", _LIMITS)


def test_a_jpeg_that_states_more_pixels_than_it_has_is_refused() -> None:
    data = saved(photograph(), "JPEG")
    frame = data.index(b"\xff\xc0")
    with pytest.raises(BrokenImageError, match="pixels are missing"):
        pixels(data[: frame + 5] + b"\x07\xd0\x07\xd0" + data[frame + 9 :], _LIMITS, _SMALL)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_picture_that_ends_in_mid_grey_is_read(mode: str, progressive: bool) -> None:
    grey = Image.new("RGB", (64, 64), (128, 128, 128)).convert(mode)
    data = saved(grey, "JPEG", progressive=progressive)
    assert abs(pixels(data, _LIMITS, _SMALL).astype(int) - 128).max() <= 3
    assert pixels(data + b"what a camera appends\xff\xd9", _LIMITS, _SMALL).shape == (24, 24, 3)


def test_a_progressive_jpeg_cut_between_scans_is_refused() -> None:
    data = saved(photograph(), "JPEG", progressive=True)
    with pytest.raises(BrokenImageError):
        pixels(data[: data.rindex(b"\xff\xda")], _LIMITS, _SMALL)


def test_a_graph_that_decodes_gets_a_jpeg_with_its_end() -> None:
    data = saved(photograph(), "JPEG")
    assert encoded(data[:-2], _LIMITS) == data
    assert encoded(data + b"what a camera appends", _LIMITS).startswith(data)


def test_a_png_damaged_anywhere_is_refused_or_the_same() -> None:
    data = bytearray(saved(photograph(60), "PNG"))
    whole = pixels(bytes(data), _LIMITS, _SMALL)
    for position in range(8, len(data), max(1, len(data) // 300)):
        damaged = bytearray(data)
        damaged[position] ^= 0x10
        cut = data[:position]
        for sent in (damaged, cut):
            try:
                out = pixels(bytes(sent), _LIMITS, _SMALL)
            except (BrokenImageError, NoImageError, TooManyPixelsError):
                continue
            assert (out == whole).all(), position


def test_missing_rows_are_an_error_and_not_black() -> None:
    """A PNG whose stream ends in good order after half of the rows: Pillow makes no error of it."""
    rows = b"".join(b"\0" + bytes([200] * 64) for _ in range(64))
    with pytest.raises(BrokenImageError, match="pixels are missing"):
        pixels(png(64, 64, grey_rows=rows[: len(rows) // 2]), _LIMITS, _SMALL)


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "AVIF"])
def test_appended_data_changes_nothing(format_name: str) -> None:
    data = saved(photograph(64), format_name)
    appended = data + b"appended by a camera " * 15
    assert (pixels(appended, _LIMITS, _SMALL) == pixels(data, _LIMITS, _SMALL)).all()


def test_the_transparent_grey_of_16_bits_becomes_white() -> None:
    values = np.full((30, 30), 0x1234, dtype=np.uint16)
    data = saved(Image.fromarray(values), "PNG", transparency=0x1234)
    assert (pixels(data, _LIMITS, _SMALL) == 255).all()
