"""From any picture that is read to what a graph is fed with."""

import contextlib
import io
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from tests.support.photos import PHOTOS
from tests.worker.image.drawn import QUARTERS, saved, stored
from tfleet.worker.image.errors import (
    BrokenImageError,
    NoImageError,
    TooManyPixelsError,
    UnsupportedFormatError,
)
from tfleet.worker.image.geometry import Geometry, Resample
from tfleet.worker.image.limits import ImageLimits
from tfleet.worker.image.preprocess import encoded, pixels

_LIMITS = ImageLimits()
_SMALL = Geometry(24, 24)


def _corners(array: npt.NDArray[np.uint8]) -> list[str]:
    """The colours of the four quarters' middles, in words."""
    height, width = array.shape[:2]
    names = {"100": "red", "010": "green", "001": "blue", "111": "white"}
    return [
        names["".join("01"[int(value > 127)] for value in array[height * row // 4, width * column // 4])]
        for row in (1, 3)
        for column in (1, 3)
    ]


_UPRIGHT = ["red", "green", "blue", "white"]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP"])
def test_pixels_are_upright_in_each_orientation(orientation: int, format_name: str) -> None:
    array = pixels(stored(orientation, format_name), _LIMITS, Geometry(16, 24, crop=1))
    assert array.shape == (16, 24, 3)
    assert _corners(array) == _UPRIGHT


@pytest.mark.parametrize("orientation", range(1, 9))
def test_encoded_is_upright_in_each_orientation(orientation: int) -> None:
    with Image.open(io.BytesIO(encoded(stored(orientation, "JPEG"), _LIMITS))) as image:
        assert image.size == (72, 48)
        assert _corners(np.asarray(image)) == _UPRIGHT


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "AVIF"])
def test_each_format_is_read(format_name: str) -> None:
    data = saved(Image.fromarray(QUARTERS), format_name)
    array = pixels(data, _LIMITS, _SMALL)
    assert array.shape == (24, 24, 3)
    assert array.dtype == np.uint8
    assert _corners(array) == _UPRIGHT


@pytest.mark.parametrize(
    ("mode", "format_name"),
    [
        ("1", "PNG"),
        ("1", "GIF"),
        ("1", "BMP"),
        ("L", "JPEG"),
        ("L", "PNG"),
        ("L", "BMP"),
        ("L", "WEBP"),
        ("LA", "PNG"),
        ("P", "PNG"),
        ("P", "BMP"),
        ("RGBA", "PNG"),
        ("RGBA", "WEBP"),
        ("CMYK", "JPEG"),
        ("I;16", "PNG"),
    ],
)
def test_each_mode_gives_the_colours_that_were_stored(mode: str, format_name: str) -> None:
    grey = Image.new("L", (30, 30), 255)
    if mode == "I;16":
        stored = Image.fromarray(np.full((30, 30), 0x8000, dtype=np.uint16))
        expected = 128
    else:
        stored, expected = (grey.convert("RGB") if mode == "CMYK" else grey).convert(mode), 255
    data = saved(stored, format_name)
    for array in (
        pixels(data, _LIMITS, _SMALL),
        np.asarray(Image.open(io.BytesIO(encoded(data, _LIMITS))).convert("RGB")),
    ):
        assert array.shape[2] == 3
        assert np.abs(array.astype(int) - expected).max() <= 2


def test_cmyk_is_not_shown_as_its_negative() -> None:
    # Pillow writes CMYK as Adobe does, inverted and with the marker that says so.
    data = saved(Image.fromarray(QUARTERS).convert("CMYK"), "JPEG", quality=95)
    assert b"Adobe" in data
    assert _corners(pixels(data, _LIMITS, _SMALL)) == _UPRIGHT
    with Image.open(io.BytesIO(encoded(data, _LIMITS))) as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
        assert _corners(np.asarray(image)) == _UPRIGHT


def test_the_first_frame_of_an_animation_is_taken() -> None:
    frames = [Image.new("RGB", (24, 24), colour) for colour in ("red", "blue")]
    for format_name in ("GIF", "WEBP", "PNG"):
        data = saved(frames[0], format_name, save_all=True, append_images=frames[1:])
        assert pixels(data, _LIMITS, _SMALL)[12, 12].tolist() == pytest.approx([255, 0, 0], abs=4)


@pytest.mark.parametrize("format_name", ["PNG", "WEBP"])
def test_a_transparent_picture_stands_on_white(format_name: str) -> None:
    data = saved(Image.new("RGBA", (30, 30), (0, 0, 0, 0)), format_name)
    assert (pixels(data, _LIMITS, _SMALL) == 255).all()


def test_the_transparent_colour_of_a_palette_stands_on_white() -> None:
    image = Image.new("P", (30, 30), 0)
    image.putpalette([0, 0, 0, 255, 0, 0])
    for format_name in ("PNG", "GIF"):
        assert (pixels(saved(image, format_name, transparency=0), _LIMITS, _SMALL) == 255).all()


def test_hidden_colours_do_not_bleed_from_under_transparency() -> None:
    # Red, but fully transparent, beside opaque blue: no shade of red may appear where they meet.
    array = np.zeros((30, 30, 4), dtype=np.uint8)
    array[:, :15] = 255, 0, 0, 0
    array[:, 15:] = 0, 0, 255, 255
    out = pixels(saved(Image.fromarray(array), "PNG"), _LIMITS, Geometry(7, 7)).astype(int)
    assert (abs(out[..., 0] - out[..., 1]) <= 2).all()


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "AVIF"])
def test_a_truncated_file_is_a_broken_image(format_name: str) -> None:
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    data = saved(noise, format_name)
    for cut in (data[: len(data) // 2], data[: len(data) * 9 // 10]):
        with pytest.raises(
            BrokenImageError, match=rf"the {format_name} image is damaged or cut off \(.+\): send"
        ):
            pixels(cut, _LIMITS, _SMALL)
        with pytest.raises(BrokenImageError):
            encoded(cut, _LIMITS)


def test_a_truncated_photograph_is_broken_for_any_graph() -> None:
    """Even for one that decodes by itself."""
    with pytest.raises(BrokenImageError):
        encoded(PHOTOS["cat"].read_bytes()[:9000], _LIMITS)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_plain_jpeg_passes_through_unchanged(mode: str) -> None:
    data = saved(Image.fromarray(QUARTERS).convert(mode), "JPEG")
    assert encoded(data, _LIMITS) is data


@dataclass(frozen=True, slots=True)
class _Noting(ImageLimits):
    """Limits that note the size of what is decoded."""

    decoded: list[tuple[int, int]] = field(default_factory=list)

    def held(self, width: int, height: int) -> contextlib.AbstractContextManager[None]:
        self.decoded.append((width, height))
        return contextlib.nullcontext()


def test_a_large_jpeg_decoded_at_a_fraction_looks_the_same() -> None:
    ramp = np.linspace(0, 255, 2048, dtype=np.uint8)
    large = Image.fromarray(
        np.stack(np.broadcast_arrays(ramp[:, None], ramp[None, :], np.uint8(90)), axis=-1)
    )
    geometry = Geometry(64, 64, 0.9, "bicubic")
    limits = _Noting()
    fast = pixels(saved(large, "JPEG", quality=95), limits, geometry).astype(int)
    assert limits.decoded == [(256, 256)]  # 1/8, and 1/16 is none of libjpeg's
    exact = pixels(saved(large, "PNG"), _LIMITS, geometry).astype(int)
    assert np.abs(fast - exact).max() <= 4


@pytest.mark.parametrize(
    ("side", "expected"),
    [(64, 256), (128, 256), (129, 512), (256, 512), (257, 1024), (512, 1024), (513, 2048)],
)
def test_twice_the_models_size_is_left_to_the_resampler(side: int, expected: int) -> None:
    limits = _Noting()
    pixels(saved(Image.new("L", (2048, 2048)), "JPEG"), limits, Geometry(side, side))
    assert limits.decoded == [(expected, expected)]


@pytest.mark.parametrize(
    "prepare",
    [lambda data: pixels(data, ImageLimits(99), _SMALL), lambda data: encoded(data, ImageLimits(99))],
)
def test_both_ways_of_reading_refuse_the_same(prepare: Any) -> None:
    with pytest.raises(NoImageError):
        prepare(b"text")
    with pytest.raises(UnsupportedFormatError):
        prepare(b"II*\0")
    with pytest.raises(TooManyPixelsError):
        prepare(saved(Image.new("RGB", (10, 10)), "JPEG"))


@pytest.mark.parametrize("format_name", ["PNG", "WEBP"])
@pytest.mark.parametrize("resample", ["bilinear", "bicubic", "lanczos", "box", "nearest"])
def test_a_transparent_picture_gives_the_same_as_its_flat_copy(format_name: str, resample: Resample) -> None:
    """Whatever colours lie under its transparent parts."""
    array = np.random.default_rng(3).integers(0, 256, (90, 90, 4), dtype=np.uint8)
    array[20:70, 30:60, 3] = 255
    image = Image.fromarray(array)
    flat = Image.new("RGB", image.size, "white")
    flat.paste(image, mask=image)
    options = {"lossless": True, "exact": True} if format_name == "WEBP" else {}
    geometry = Geometry(31, 31, 0.9, resample)
    out = pixels(saved(image, format_name, **options), _LIMITS, geometry)
    assert (out == pixels(saved(flat, "PNG"), _LIMITS, geometry)).all()


def test_without_antialiasing_pixels_are_taken_at_points() -> None:
    stripes = np.zeros((64, 64, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    data = saved(Image.fromarray(stripes), "PNG")
    averaged = pixels(data, _LIMITS, Geometry(16, 16))
    points = pixels(data, _LIMITS, Geometry(16, 16, resample="nearest", antialias=False))
    assert 100 < averaged.mean() < 155
    assert set(points.flatten()) == {255}


# Under pytest the filter that the module sets at its import does not count.
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_damaged_files_never_raise_anything_else() -> None:
    random = np.random.default_rng(20)
    noise = Image.fromarray(random.integers(0, 255, (20, 30, 3), dtype=np.uint8))
    samples = [saved(noise, format_name) for format_name in ("JPEG", "PNG", "GIF", "BMP", "WEBP")]
    messages = []
    for number in range(3000):
        data = bytearray(samples[number % len(samples)])
        for _ in range(random.integers(1, 6)):
            data[random.integers(0, min(len(data), 400))] = random.integers(0, 256)
        try:
            pixels(bytes(data), ImageLimits(100_000), _SMALL)
        except (BrokenImageError, NoImageError, TooManyPixelsError, UnsupportedFormatError) as error:
            messages.append(str(error))
    assert len(messages) > 500
    assert not any("\n" in message for message in messages)
