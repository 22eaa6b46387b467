"""From any picture that is read to what a graph is fed with."""

import contextlib
import dataclasses
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from tests.worker.image.headers.test_bmp import bmp
from tests.worker.image.jpegs import with_many_scans
from tests.worker.image.photos import PHOTOS
from tests.worker.image.pngs import png
from tfleet.worker.image.cost import Cost, cost_of
from tfleet.worker.image.errors import (
    BrokenImageError,
    NoImageError,
    TooManyPixelsError,
    UnsupportedFormatError,
)
from tfleet.worker.image.geometry import Geometry, Resample
from tfleet.worker.image.header import read_header
from tfleet.worker.image.limits import ImageLimits
from tfleet.worker.image.prepare import JOBS, encoded, header_arguments, pixels

_LIMITS = ImageLimits()
_SMALL = Geometry(24, 24)

# Red and green above, blue and white below: no two of the 8 orientations look alike.
_QUARTERS = np.zeros((48, 72, 3), dtype=np.uint8)
_QUARTERS[:24, :36] = 255, 0, 0
_QUARTERS[:24, 36:] = 0, 255, 0
_QUARTERS[24:, :36] = 0, 0, 255
_QUARTERS[24:, 36:] = 255, 255, 255

# EXIF orientation -> how an upright picture is stored (TIFF 6.0, page 36).
_STORED: dict[int, Callable[[Any], Any]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: np.rot90,
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, -1),
}


def _saved(image: Image.Image, format_name: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_name, **options)
    return buffer.getvalue()


def _stored(orientation: int, format_name: str) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(np.ascontiguousarray(_STORED[orientation](_QUARTERS)))
    return _saved(image, format_name, exif=exif)


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
    array = pixels(_stored(orientation, format_name), _LIMITS, Geometry(16, 24, crop=1))
    assert array.shape == (16, 24, 3)
    assert _corners(array) == _UPRIGHT


@pytest.mark.parametrize("orientation", range(1, 9))
def test_encoded_is_upright_in_each_orientation(orientation: int) -> None:
    with Image.open(io.BytesIO(encoded(_stored(orientation, "JPEG"), _LIMITS))) as image:
        assert image.size == (72, 48)
        assert _corners(np.asarray(image)) == _UPRIGHT


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "AVIF"])
def test_each_format_is_read(format_name: str) -> None:
    data = _saved(Image.fromarray(_QUARTERS), format_name)
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
    data = _saved(stored, format_name)
    for array in (
        pixels(data, _LIMITS, _SMALL),
        np.asarray(Image.open(io.BytesIO(encoded(data, _LIMITS))).convert("RGB")),
    ):
        assert array.shape[2] == 3
        assert np.abs(array.astype(int) - expected).max() <= 2


def test_cmyk_is_not_shown_as_its_negative() -> None:
    # Pillow writes CMYK as Adobe does, inverted and with the marker that says so.
    data = _saved(Image.fromarray(_QUARTERS).convert("CMYK"), "JPEG", quality=95)
    assert b"Adobe" in data
    assert _corners(pixels(data, _LIMITS, _SMALL)) == _UPRIGHT
    with Image.open(io.BytesIO(encoded(data, _LIMITS))) as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
        assert _corners(np.asarray(image)) == _UPRIGHT


def test_the_first_frame_of_an_animation_is_taken() -> None:
    frames = [Image.new("RGB", (24, 24), colour) for colour in ("red", "blue")]
    for format_name in ("GIF", "WEBP", "PNG"):
        data = _saved(frames[0], format_name, save_all=True, append_images=frames[1:])
        assert pixels(data, _LIMITS, _SMALL)[12, 12].tolist() == pytest.approx([255, 0, 0], abs=4)


@pytest.mark.parametrize("format_name", ["PNG", "WEBP"])
def test_a_transparent_picture_stands_on_white(format_name: str) -> None:
    data = _saved(Image.new("RGBA", (30, 30), (0, 0, 0, 0)), format_name)
    assert (pixels(data, _LIMITS, _SMALL) == 255).all()


def test_the_transparent_colour_of_a_palette_stands_on_white() -> None:
    image = Image.new("P", (30, 30), 0)
    image.putpalette([0, 0, 0, 255, 0, 0])
    for format_name in ("PNG", "GIF"):
        assert (pixels(_saved(image, format_name, transparency=0), _LIMITS, _SMALL) == 255).all()


def test_hidden_colours_do_not_bleed_from_under_transparency() -> None:
    # Red, but fully transparent, beside opaque blue: no shade of red may appear where they meet.
    array = np.zeros((30, 30, 4), dtype=np.uint8)
    array[:, :15] = 255, 0, 0, 0
    array[:, 15:] = 0, 0, 255, 255
    out = pixels(_saved(Image.fromarray(array), "PNG"), _LIMITS, Geometry(7, 7)).astype(int)
    assert (abs(out[..., 0] - out[..., 1]) <= 2).all()


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "AVIF"])
def test_a_truncated_file_is_a_broken_image(format_name: str) -> None:
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    data = _saved(noise, format_name)
    for cut in (data[: len(data) // 2], data[: len(data) * 9 // 10]):
        with pytest.raises(
            BrokenImageError, match=rf"the {format_name} image is damaged or cut off \(.+\): send"
        ):
            pixels(cut, _LIMITS, _SMALL)
        with pytest.raises(BrokenImageError):
            encoded(cut, _LIMITS)


def test_a_truncated_photograph_is_broken_even_for_a_graph_that_decodes_by_itself() -> None:
    with pytest.raises(BrokenImageError):
        encoded(PHOTOS["cat"].read_bytes()[:9000], _LIMITS)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_plain_jpeg_passes_through_unchanged(mode: str) -> None:
    data = _saved(Image.fromarray(_QUARTERS).convert(mode), "JPEG")
    assert encoded(data, _LIMITS) is data


@dataclass(frozen=True, slots=True)
class _Noting(ImageLimits):
    """Limits that note the size of what is decoded."""

    decoded: list[tuple[int, int]] = field(default_factory=list)

    def held(self, width: int, height: int) -> contextlib.AbstractContextManager[None]:
        self.decoded.append((width, height))
        return contextlib.nullcontext()


def test_a_large_jpeg_is_decoded_at_a_fraction_and_looks_the_same() -> None:
    ramp = np.linspace(0, 255, 2048, dtype=np.uint8)
    large = Image.fromarray(
        np.stack(np.broadcast_arrays(ramp[:, None], ramp[None, :], np.uint8(90)), axis=-1)
    )
    geometry = Geometry(64, 64, 0.9, "bicubic")
    limits = _Noting()
    fast = pixels(_saved(large, "JPEG", quality=95), limits, geometry).astype(int)
    assert limits.decoded == [(256, 256)]  # 1/8, and 1/16 is none of libjpeg's
    exact = pixels(_saved(large, "PNG"), _LIMITS, geometry).astype(int)
    assert np.abs(fast - exact).max() <= 4


@pytest.mark.parametrize(
    ("side", "expected"),
    [(64, 256), (128, 256), (129, 512), (256, 512), (257, 1024), (512, 1024), (513, 2048)],
)
def test_twice_the_models_size_is_left_to_the_resampler(side: int, expected: int) -> None:
    limits = _Noting()
    pixels(_saved(Image.new("L", (2048, 2048)), "JPEG"), limits, Geometry(side, side))
    assert limits.decoded == [(expected, expected)]


@pytest.mark.parametrize(
    "prepare",
    [lambda data: pixels(data, ImageLimits(99), _SMALL), lambda data: encoded(data, ImageLimits(99))],
)
def test_both_ways_check_the_same(prepare: Any) -> None:
    with pytest.raises(NoImageError):
        prepare(b"text")
    with pytest.raises(UnsupportedFormatError):
        prepare(b"II*\0")
    with pytest.raises(TooManyPixelsError):
        prepare(_saved(Image.new("RGB", (10, 10)), "JPEG"))


def _photograph(side: int = 240) -> Image.Image:
    return Image.open(PHOTOS["coffee"]).convert("RGB").resize((side, side))


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
    out = pixels(_saved(image, format_name, **options), _LIMITS, geometry)
    assert (out == pixels(_saved(flat, "PNG"), _LIMITS, geometry)).all()


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_cut_anywhere_gives_identical_pixels_or_an_error(progressive: bool) -> None:
    data = _saved(_photograph(), "JPEG", quality=90, progressive=progressive)
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
    data = _saved(_photograph(), "JPEG", quality=90, subsampling=subsampling)
    for geometry in (Geometry(120, 120), _SMALL):
        with pytest.raises(BrokenImageError, match="pixels are missing at its end"):
            pixels(data[: len(data) * percent // 100] + b"\xff\xd9", _LIMITS, geometry)
    with pytest.raises(BrokenImageError):
        encoded(data[: len(data) * percent // 100] + b"\xff\xd9", _LIMITS)


def test_a_jpeg_that_states_more_pixels_than_it_has_is_refused() -> None:
    data = _saved(_photograph(), "JPEG")
    frame = data.index(b"\xff\xc0")
    with pytest.raises(BrokenImageError, match="pixels are missing"):
        pixels(data[: frame + 5] + b"\x07\xd0\x07\xd0" + data[frame + 9 :], _LIMITS, _SMALL)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_picture_that_ends_in_that_grey_is_read(mode: str, progressive: bool) -> None:
    grey = Image.new("RGB", (64, 64), (128, 128, 128)).convert(mode)
    data = _saved(grey, "JPEG", progressive=progressive)
    assert abs(pixels(data, _LIMITS, _SMALL).astype(int) - 128).max() <= 3
    assert pixels(data + b"what a camera appends\xff\xd9", _LIMITS, _SMALL).shape == (24, 24, 3)


def test_a_progressive_jpeg_cut_between_scans_is_refused() -> None:
    data = _saved(_photograph(), "JPEG", progressive=True)
    with pytest.raises(BrokenImageError):
        pixels(data[: data.rindex(b"\xff\xda")], _LIMITS, _SMALL)


def test_a_jpeg_without_its_end_is_given_one_for_a_graph_that_decodes() -> None:
    data = _saved(_photograph(), "JPEG")
    assert encoded(data[:-2], _LIMITS) == data
    assert encoded(data + b"what a camera appends", _LIMITS).startswith(data)


@pytest.mark.parametrize("interlaced", [False, True])
def test_a_png_damaged_anywhere_is_refused_or_the_same(interlaced: bool) -> None:
    data = bytearray(_saved(_photograph(60), "PNG"))
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


def test_rows_that_are_not_there_are_never_black() -> None:
    """A PNG whose stream ends in good order after half of the rows: Pillow makes no error of it."""
    rows = b"".join(b"\0" + bytes([200] * 64) for _ in range(64))
    with pytest.raises(BrokenImageError, match="pixels are missing"):
        pixels(png(64, 64, grey_rows=rows[: len(rows) // 2]), _LIMITS, _SMALL)


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "AVIF"])
def test_what_programs_append_changes_nothing(format_name: str) -> None:
    data = _saved(_photograph(64), format_name)
    appended = data + b"appended by a camera " * 15
    assert (pixels(appended, _LIMITS, _SMALL) == pixels(data, _LIMITS, _SMALL)).all()


def test_the_transparent_grey_of_16_bits_becomes_white() -> None:
    values = np.full((30, 30), 0x1234, dtype=np.uint16)
    data = _saved(Image.fromarray(values), "PNG", transparency=0x1234)
    assert (pixels(data, _LIMITS, _SMALL) == 255).all()


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
    "a large PNG": lambda: _saved(Image.new("RGB", (4000, 3000)), "PNG", compress_level=1),
    "a large WebP": lambda: _saved(Image.new("RGB", (2500, 2500)), "WEBP"),
    "an AVIF of any size": lambda: _saved(Image.new("RGB", (20, 10)), "AVIF"),
    "a JPEG of many scans": lambda: with_many_scans(Image.new("RGB", (2000, 2000)), 80),
    "run lengths": lambda: bmp(1000, 1000, 8, 1, bytes(1024) + b"\xff\1" * 60_000),
}


@pytest.mark.parametrize("name", _COSTLY)
def test_costly_pictures_are_decoded_apart(name: str) -> None:
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
    pixels(_saved(Image.new("RGB", size), format_name, **options), _LIMITS, Geometry(224, 224), apart)
    assert apart.asked == []


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "AVIF"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_apart_gives_the_same(format_name: str, orientation: int) -> None:
    data, apart = _stored(orientation, format_name), _Apart()
    everything = ImageLimits()
    for name in ("pixels", "encoded"):
        header = read_header(data, everything)
        if name == "pixels":
            arguments = header_arguments(header) | {"geometry": dataclasses.asdict(_SMALL)}
            raw = apart(name, arguments, header.picture, cost_of(header))[1]
            assert raw == pixels(data, everything, _SMALL).tobytes()
        else:
            answer, raw = apart(name, header_arguments(header), header.picture, cost_of(header))
            assert encoded(data, everything) == (header.picture if answer else raw)


def test_without_antialiasing_pixels_are_taken_at_points() -> None:
    stripes = np.zeros((64, 64, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    data = _saved(Image.fromarray(stripes), "PNG")
    averaged = pixels(data, _LIMITS, Geometry(16, 16))
    points = pixels(data, _LIMITS, Geometry(16, 16, resample="nearest", antialias=False))
    assert 100 < averaged.mean() < 155
    assert set(points.flatten()) == {255}


# Under pytest the filter that the module sets at its import does not count.
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_damaged_files_never_raise_anything_else() -> None:
    random = np.random.default_rng(20)
    noise = Image.fromarray(random.integers(0, 255, (20, 30, 3), dtype=np.uint8))
    samples = [_saved(noise, format_name) for format_name in ("JPEG", "PNG", "GIF", "BMP", "WEBP")]
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
