"""A PNG's chunks are walked once, within bounds, and have to be sound and complete."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.cpu_time import cpu_seconds
from tests.support.pngs import chunk, png
from tfleet.worker.image.headers.header import HeaderError, LimitExceededError, UnsupportedKindError
from tfleet.worker.image.headers.png import check_complete, inflated_bytes, read

_GREY = bytes(1 + 4) * 4


def _saved(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


def test_a_plain_file_is_passed_on_unchanged() -> None:
    data = png(4, 4, grey_rows=_GREY)
    header = read(data)
    assert header.picture is data
    assert (header.width, header.height, header.work.values_per_pixel, header.orientation) == (4, 4, 1, 1)


def test_chunks_without_pixels_are_dropped() -> None:
    exif = struct.pack("<2sHIHHHII", b"II", 42, 8, 1, 0x0112, 3, 1, 8)
    noted = png(
        4, 4, chunk(b"tEXt", b"a\0b"), chunk(b"eXIf", exif), chunk(b"acTL", bytes(8)), grey_rows=_GREY
    )
    assert read(noted).picture == png(4, 4, grey_rows=_GREY)
    assert read(noted).orientation == 8


def refused(data: bytes) -> None:
    with pytest.raises(HeaderError, match="more than"):
        read(data)


@pytest.mark.parametrize(
    "junk",
    [
        chunk(b"tEXt", b"a\0b") * 400_000,
        chunk(b"tEXt", b"a\0" + bytes(26_000_000)),
        chunk(b"eXIf", bytes(26_000_000)),
        chunk(b"IDAT", b"") * 400_000,
        chunk(b"tRNS", b"\0\0") * 400_000,
    ],
    ids=["texts", "one large text", "exif", "empty pixels", "transparencies"],
)
def test_junk_before_the_picture_is_refused_at_once(junk: bytes) -> None:
    data = png(4, 4, junk, grey_rows=_GREY)
    assert cpu_seconds(lambda: refused(data)) < 1


def test_a_wrong_checksum_of_pixels_is_refused() -> None:
    data = bytearray(png(4, 4, grey_rows=_GREY))
    data[data.index(b"IDAT") + 6] ^= 1
    with pytest.raises(HeaderError, match="checksum of its IDAT"):
        read(bytes(data))


def test_a_palette_picture_needs_its_palette() -> None:
    data = _saved(Image.new("P", (4, 4)))
    start = data.index(b"PLTE") - 4
    end = start + 12 + int.from_bytes(data[start : start + 4], "big")
    with pytest.raises(HeaderError, match="palette is missing"):
        read(data[:start] + data[end:])


def test_a_palette_behind_the_pixels_is_missing() -> None:
    data = _saved(Image.new("P", (4, 4)))
    start = data.index(b"PLTE") - 4
    end = start + 12 + int.from_bytes(data[start : start + 4], "big")
    with pytest.raises(HeaderError, match="palette is missing"):
        read(data[:start] + data[end:-12] + data[start:end] + data[-12:])


def test_data_behind_the_pixels_is_bounded() -> None:
    plain = png(4, 4, grey_rows=_GREY)
    frames = (chunk(b"fcTL", bytes(26)) + chunk(b"fdAT", bytes(9))) * 10_000
    text = chunk(b"tEXt", b"a\0" + bytes(17_000_000))
    assert read(plain[:-12] + frames + text + plain[-12:]).picture == plain
    with pytest.raises(LimitExceededError, match="after its pixels"):
        read(plain[:-12] + frames * 4 + plain[-12:])


def test_an_apple_png_is_named() -> None:
    with pytest.raises(UnsupportedKindError, match="CgBI"):
        read(b"\x89PNG\r\n\x1a\n" + chunk(b"CgBI", bytes(4)))


def test_counting_takes_linear_time_for_one_large_chunk() -> None:
    rows = np.random.default_rng(1).integers(0, 256, 24_000_000, dtype=np.uint8).tobytes()
    data = png(23_999, 1_000, grey_rows=rows)
    assert cpu_seconds(lambda: check_complete(data)) < 1


def test_pixels_that_end_too_soon_are_noticed() -> None:
    check_complete(png(4, 4, grey_rows=_GREY))
    with pytest.raises(HeaderError, match="pixels are missing"):
        check_complete(png(4, 4, grey_rows=_GREY[:-1]))


def test_counting_pixels_keeps_none_of_them() -> None:
    bomb = png(60_000, 1_000, grey_rows=bytes(60_001_000))
    before = _peak_resident()
    check_complete(read(bomb).picture)
    assert _peak_resident() - before < 8_000_000


def _peak_resident() -> int:
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024


@pytest.mark.parametrize("interlace", [0, 1])
@pytest.mark.parametrize(("depth", "colour"), [(1, 0), (2, 3), (8, 2), (16, 6), (4, 0), (16, 4)])
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (8, 8), (9, 17)])
def test_inflated_bytes_are_those_of_all_rows(
    interlace: int, depth: int, colour: int, size: tuple[int, int]
) -> None:
    width, height = size
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    taken = np.zeros((height, width), dtype=bool)
    total = 0
    passes = [
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    ]
    for left, top, across, down in passes if interlace else [(0, 0, 1, 1)]:
        part = taken[top::down, left::across]
        part[:] = True
        if part.size:
            total += part.shape[0] * (1 + -(-part.shape[1] * depth * channels // 8))
    assert taken.all()
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    assert inflated_bytes(head) == total


def test_every_cut_is_an_error_or_the_whole_picture() -> None:
    data = _saved(Image.linear_gradient("L").resize((40, 30)))
    for length in range(8, len(data)):
        try:
            header = read(data[:length])
            check_complete(header.picture)
        except HeaderError:
            continue
        assert length >= len(data) - 16 - 4 - 4, "only the last checksums and IEND may be missing"


@pytest.mark.parametrize(
    "head",
    [
        struct.pack(">IIBBBBB", 0, 4, 8, 0, 0, 0, 0),
        struct.pack(">IIBBBBB", 4, 4, 3, 0, 0, 0, 0),
        struct.pack(">IIBBBBB", 4, 4, 8, 1, 0, 0, 0),
        struct.pack(">IIBBBBB", 4, 4, 8, 0, 1, 0, 0),
        struct.pack(">IIBBBBB", 4, 4, 8, 0, 0, 1, 0),
        struct.pack(">IIBBBBB", 4, 4, 8, 0, 0, 0, 2),
    ],
)
def test_a_header_with_values_that_do_not_exist_is_refused(head: bytes) -> None:
    data = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(_GREY))
        + chunk(b"IEND", b"")
    )
    with pytest.raises(HeaderError, match="do not exist"):
        read(data)
