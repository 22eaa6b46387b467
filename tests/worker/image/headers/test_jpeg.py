"""A JPEG's segments are walked once, within bounds, and say what decoding it takes."""

import io
from functools import partial

import pytest
from PIL import Image

from tests.support.cpu_time import cpu_seconds
from tests.support.jpegs import after_start, framed, jpeg, segment, with_many_scans
from tfleet.worker.image.headers.header import (
    DecodeWork,
    HeaderError,
    LimitExceededError,
    UnsupportedKindError,
)
from tfleet.worker.image.headers.jpeg import MAX_SCANS, lacks_scans, read, without_end_marker

_COLOURS = Image.linear_gradient("L").resize((64, 48)).convert("RGB")


def test_the_size_and_what_decoding_takes_are_read() -> None:
    header = read(jpeg(_COLOURS, subsampling=2))
    assert (header.width, header.height, header.work) == (64, 48, DecodeWork(1.5, 1, False))
    assert read(jpeg(_COLOURS, subsampling=0)).work.values_per_pixel == 3


def test_each_scan_of_a_progressive_one_counts() -> None:
    header = read(jpeg(_COLOURS, progressive=True))
    assert header.work.buffers_coefficients
    assert 3 < header.work.passes < 10
    assert read(with_many_scans(_COLOURS, 50)).work.passes > header.work.passes + 10


def test_a_plain_file_is_passed_on_unchanged() -> None:
    data = jpeg(_COLOURS)
    assert read(data).picture is data


def test_metadata_is_dropped_and_the_picture_stays_the_same() -> None:
    data = jpeg(_COLOURS)
    exif = Image.Exif()
    exif[0x0112] = 6
    noted = after_start(
        data, segment(0xE1, exif.tobytes()), segment(0xE2, b"ICC_PROFILE\0" * 99), segment(0xFE, b"hello")
    )
    header = read(noted)
    assert header.picture == data
    assert header.orientation == 6


def test_adobes_segment_is_passed_to_the_decoder() -> None:
    data = jpeg(_COLOURS.convert("CMYK"))
    assert b"Adobe" in read(after_start(data, segment(0xFE, b"hello"))).picture


def refused(data: bytes, text: str, error: type[HeaderError] = HeaderError) -> None:
    with pytest.raises(error, match=text):
        read(data)


@pytest.mark.parametrize(
    ("name", "junk"),
    [
        ("empty comments", segment(0xFE) * 7_000_000),
        ("fill bytes", b"\xff" * 30_000_000),
        ("zeros", bytes(30_000_000)),
        ("escaped zeros", b"\xff\0" * 15_000_000),
        ("full segments", segment(0xE1, bytes(65_000)) * 480),
        ("restart markers", b"\xff\xd0" * 15_000_000),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_junk_before_the_picture_is_refused_at_once(name: str, junk: bytes) -> None:
    data = after_start(jpeg(_COLOURS), junk)
    assert cpu_seconds(lambda: refused(data, "more than")) < 1, name


@pytest.mark.parametrize("progressive", [False, True])
def test_fill_bytes_behind_the_pixels_are_refused_at_once(progressive: bool) -> None:
    data = jpeg(_COLOURS, progressive=progressive)[:-2] + b"\xff" * 30_000_000
    for sent in (data, data + b"\xd9"):
        assert cpu_seconds(partial(refused, sent, "fill bytes", LimitExceededError)) < 1


@pytest.mark.parametrize("progressive", [False, True])
def test_a_size_larger_than_its_bytes_allow_is_refused(progressive: bool) -> None:
    flat = jpeg(Image.new("RGB", (4_000, 4_000)), progressive=progressive, optimize=True)
    assert read(flat).complete, "no encoder can do with less"
    data = jpeg(_COLOURS, progressive=progressive)
    frame = data.index(b"\xff\xc2" if progressive else b"\xff\xc0")
    assert not read(data[: frame + 5] + b"\x1f\x40\x1f\x40" + data[frame + 9 :]).complete


def test_the_end_is_found_behind_the_last_scan() -> None:
    for progressive in (False, True):
        data = jpeg(_COLOURS, progressive=progressive)
        assert without_end_marker(data + b"more\xff\xd9") == data[:-2]
        assert without_end_marker(data[:-2]) == data[:-2]


def test_no_more_scans_than_any_encoder_writes_are_read() -> None:
    data = with_many_scans(_COLOURS, 10_000)
    assert cpu_seconds(lambda: refused(data, f"more than {MAX_SCANS} scans")) < 1


def test_scans_hidden_behind_a_false_end_are_counted() -> None:
    data = jpeg(_COLOURS, progressive=True)
    last = data.rindex(b"\xff\xda")
    hidden = data[:-2] + (segment(0xFE, b"\xff\xd9") + data[last:-2]) * 200 + data[-2:]
    with pytest.raises(HeaderError, match="scans"):
        read(hidden)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (framed(0xC1, bits=12), "JPEG with 12 bits a sample"),
        (framed(0xC3), "lossless JPEG"),
        (framed(0xC9), "arithmetic-coded JPEG"),
        (framed(0xCA), "arithmetic-coded JPEG"),
        (framed(0xCB), "arithmetic-coded lossless JPEG"),
        (framed(0xC5), "hierarchical JPEG"),
    ],
)
def test_other_jpeg_processes_are_named_in_the_error(data: bytes, kind: str) -> None:
    with pytest.raises(UnsupportedKindError, match=kind):
        read(data)


def test_every_cut_before_the_pixels_is_an_error() -> None:
    data = jpeg(_COLOURS, progressive=True)
    for length in range(3, data.index(b"\xff\xda") + 4):
        with pytest.raises(HeaderError):
            read(data[:length])


def test_a_progressive_one_cut_between_scans_lacks_some() -> None:
    data = jpeg(_COLOURS, progressive=True)
    assert not lacks_scans(data[:-2])
    assert lacks_scans(data[: data.rindex(b"\xff\xda")])
    assert not lacks_scans(jpeg(_COLOURS)[:-2])


def test_the_size_agrees_with_pillow() -> None:
    for size in ((1, 1), (17, 9), (640, 480)):
        data = jpeg(Image.new("RGB", size))
        assert (read(data).width, read(data).height) == Image.open(io.BytesIO(data)).size == size
