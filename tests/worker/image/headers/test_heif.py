"""The size of an AVIF or HEIC is the largest that its properties state."""

import io
import struct

import pytest
from PIL import Image

from tests.support.cpu_time import cpu_seconds
from tfleet.worker.image.headers.header import HeaderError
from tfleet.worker.image.headers.heif import read


def _box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", 8 + len(body)) + kind + body


def _with(properties: bytes) -> bytes:
    nested = _box(b"meta", bytes(4) + _box(b"iprp", _box(b"ipco", properties)))
    return _box(b"ftyp", b"heic" + bytes(4)) + nested


def _size(width: int, height: int) -> bytes:
    return _box(b"ispe", bytes(4) + struct.pack(">II", width, height))


def test_the_size_of_a_real_one_is_read() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (301, 7)).save(buffer, "AVIF")
    header = read(buffer.getvalue(), "AVIF")
    assert (header.format, header.width, header.height) == ("AVIF", 301, 7)


def test_the_largest_of_several_sizes_counts() -> None:
    header = read(_with(_size(512, 512) + _size(4032, 3024) + _size(320, 240)), "HEIC")
    assert (header.width, header.height) == (4032, 3024)


@pytest.mark.parametrize(
    "data", [_with(b""), _with(_size(0, 9)), _with(_size(9, 9))[:-1], _box(b"ftyp", b"")]
)
def test_a_file_without_a_size_is_refused(data: bytes) -> None:
    with pytest.raises(HeaderError):
        read(data, "HEIC")


def refused(data: bytes) -> None:
    with pytest.raises(HeaderError, match="more than"):
        read(data, "HEIC")


def test_a_million_boxes_are_refused_at_once() -> None:
    data = _box(b"free", b"") * 1_000_000
    assert cpu_seconds(lambda: refused(data)) < 1
