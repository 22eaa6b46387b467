"""A GIF's size is that of a canvas which holds its screen and its first frame."""

import io
from functools import partial

import pytest
from PIL import Image

from tests.support.cpu_time import cpu_seconds
from tfleet.worker.image.headers.gif import read
from tfleet.worker.image.headers.header import HeaderError


def _saved(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "GIF", **options)
    return buffer.getvalue()


def _with_frame(data: bytes, width: int, height: int) -> bytes:
    frame = data.index(b",\0\0\0\0")
    return data[: frame + 5] + width.to_bytes(2, "little") + height.to_bytes(2, "little") + data[frame + 9 :]


def test_a_frame_larger_than_the_screen_counts() -> None:
    header = read(_with_frame(_saved(Image.new("L", (1, 1))), 60_000, 50_000))
    assert (header.width, header.height) == (60_000, 50_000)


def test_comments_are_dropped_and_transparency_is_kept() -> None:
    image = Image.new("P", (9, 5))
    image.putpalette([1, 2, 3, 4, 5, 6])
    plain, noted = _saved(image, transparency=0), _saved(image, transparency=0, comment=b"hello" * 99)
    assert read(noted).picture == read(plain).picture
    assert Image.open(io.BytesIO(read(noted).picture)).info["transparency"] == 0


def refused(data: bytes) -> None:
    with pytest.raises(HeaderError, match="more than"):
        read(data)


def test_a_million_comments_are_refused_at_once() -> None:
    data = _saved(Image.new("L", (1, 1)))
    frame = data.index(b",\0\0\0\0")
    junks = (b"!\xfe\0" * 9_000_000, b"!\xfe" + b"\1a" * 9_000_000 + b"\0")
    full = [data[:frame] + junk + data[frame:] for junk in junks]
    for sent in full:
        assert cpu_seconds(partial(refused, sent)) < 1


def test_xmp_of_many_blocks_is_stepped_over() -> None:
    data = _saved(Image.new("L", (9, 5)))
    frame = data.index(b",\0\0\0\0")
    xmp = b"!\xff\x0bXMP DataXMP" + (b"\x5a" + b"x" * 90) * 3_000 + b"\0"
    assert read(data[:frame] + xmp + data[frame:]).picture == read(data).picture


def test_every_cut_before_the_pixels_is_an_error() -> None:
    data = _saved(Image.new("L", (9, 5)))
    for length in range(6, data.index(b",\0\0\0\0") + 10):
        with pytest.raises(HeaderError):
            read(data[:length])
