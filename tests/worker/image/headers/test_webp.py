"""A WebP's size and first frame are read from its chunks, in each of the layouts."""

import io
import struct
from typing import Any

import pytest
from PIL import Image

from tests.support.cpu_time import cpu_seconds
from tfleet.worker.image.headers.header import HeaderError
from tfleet.worker.image.headers.webp import read


def _saved(image: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", **options)
    return buffer.getvalue()


def _riff(*chunks: bytes) -> bytes:
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + bytes(len(body) & 1)


@pytest.mark.parametrize(
    ("mode", "options", "first", "coding"),
    [
        ("RGB", {}, b"VP8 ", "lossy"),
        ("RGB", {"lossless": True}, b"VP8L", "lossless"),
        ("RGBA", {}, b"VP8X", "lossy"),
        ("RGB", {"icc_profile": b"a profile makes it an extended file"}, b"VP8X", "lossy"),
    ],
)
def test_the_size_is_that_of_the_picture(
    mode: str, options: dict[str, Any], first: bytes, coding: str
) -> None:
    data = _saved(Image.new(mode, (301, 7)), **options)
    header = read(data)
    assert data[12:16] == first
    assert (header.width, header.height, header.work.coding) == (301, 7, coding)
    assert Image.open(io.BytesIO(header.picture)).size == (301, 7)


def test_only_the_first_frame_of_an_animation_is_decoded() -> None:
    frames = [Image.new("RGB", (40, 30), colour) for colour in ("red", "blue", "green", "white")]
    data = _saved(frames[0], save_all=True, append_images=frames[1:])
    header = read(data)
    assert header.picture.count(b"ANMF") == 1
    with Image.open(io.BytesIO(header.picture)) as image:
        assert image.size == (40, 30)
        assert image.convert("RGB").getpixel((9, 9)) == pytest.approx((255, 0, 0), abs=4)


def test_exif_is_read_and_not_passed_to_the_decoder() -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    header = read(_saved(Image.new("RGB", (9, 5)), exif=exif))
    assert header.orientation == 3
    assert b"EXIF" not in header.picture


def test_the_largest_canvas_is_read() -> None:
    frame = _saved(Image.new("RGB", (1, 1)))[12:]
    header = read(_riff(_chunk(b"VP8X", bytes(4) + b"\xff" * 6), frame))
    assert (header.width, header.height) == (1 << 24, 1 << 24)


def test_a_frame_larger_than_the_canvas_counts() -> None:
    frame = _saved(Image.new("RGB", (500, 400)))[12:]
    header = read(_riff(_chunk(b"VP8X", bytes(10)), frame))
    assert (header.width, header.height) == (500, 400)


def refused(data: bytes) -> None:
    with pytest.raises(HeaderError, match="more than"):
        read(data)


def test_a_million_chunks_are_refused_at_once() -> None:
    frame = _saved(Image.new("RGB", (1, 1)))[12:]
    data = _riff(_chunk(b"VP8X", bytes(10)), _chunk(b"abcd", b"") * 1_000_000, frame)
    assert cpu_seconds(lambda: refused(data)) < 1


def test_every_cut_is_an_error() -> None:
    data = _saved(Image.new("RGBA", (9, 5)))
    for length in range(12, len(data) - 1):
        with pytest.raises((HeaderError, struct.error)):
            read(data[:length])
