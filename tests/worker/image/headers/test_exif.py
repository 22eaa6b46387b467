"""The orientation is found in EXIF of either byte order, and broken EXIF means upright."""

import struct

import pytest

from tfleet.worker.image.headers.exif import orientation


def _exif(order: str, tag: int = 0x0112, kind: int = 3, value: int = 6) -> bytes:
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(f"{order}IHHHIHH", 8, 1, tag, kind, 1, value, 0)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("value", range(1, 9))
def test_the_orientation_is_found(order: str, value: int) -> None:
    assert orientation(_exif(order, value=value)) == value
    assert orientation(b"Exif\0\0" + _exif(order, value=value)) == value


@pytest.mark.parametrize(
    "exif",
    [
        b"",
        b"Exif\0\0nonsense",
        b"II*\0\xff\xff\xff\xff",
        _exif("<", value=9),
        _exif("<", value=0),
        _exif("<", kind=4),
        _exif("<", tag=0x0100),
        _exif("<")[:-5],
        b"II*\0" + struct.pack("<IH", 8, 65535),
    ],
)
def test_an_invalid_orientation_means_upright(exif: bytes) -> None:
    assert orientation(exif) == 1
