from __future__ import annotations

import io
import os
import threading
from pathlib import Path
from typing import Any

import numpy
import PIL.Image
import pytest
from blockbuster import blockbuster_ctx

from tfleet.client import BadImageError
from tfleet.client.images.image import (
    HELD_BYTES,
    MAX_HELD_BYTES,
    UNKNOWN,
    Image,
    content_type,
    load,
    source_name,
)

JPEG = b"\xff\xd8\xff" + bytes(100)


async def sent(loaded: Image) -> bytes:
    moves: list[None] = []
    payload = loaded.payload(lambda: moves.append(None))
    if isinstance(payload, bytes):
        return payload
    pieces = [piece async for piece in payload]
    assert len(moves) == len(pieces), "whoever waits is told of each"
    return b"".join(pieces)


@pytest.mark.parametrize("source", [JPEG, bytearray(JPEG), memoryview(JPEG), io.BytesIO(JPEG)])
async def test_bytes_and_files_in_memory_are_sent_as_they_are(source: Any) -> None:
    loaded = await load(source)
    assert (loaded.content_type, loaded.size, await sent(loaded)) == ("image/jpeg", 103, JPEG)


@pytest.fixture
def photo_bytes(photo: Path) -> bytes:
    return photo.read_bytes()


@pytest.mark.parametrize("kind", [str, Path])
async def test_a_photograph_is_read_once_and_held(kind: Any, photo: Path, photo_bytes: bytes) -> None:
    loaded = await load(kind(photo))
    assert loaded.held == photo_bytes


async def test_an_open_file_is_read_from_where_it_stands(photo: Path, photo_bytes: bytes) -> None:
    with photo.open("rb", buffering=0) as file:
        file.seek(1000)
        assert await sent(await load(file)) == photo_bytes[1000:]


async def test_a_large_file_is_streamed_anew_at_each_send(tmp_path: Path) -> None:
    data = JPEG + os.urandom(2 * HELD_BYTES)
    path = tmp_path / "large"
    path.write_bytes(data)
    loaded = await load(path)
    assert (loaded.held, loaded.size, loaded.content_type) == (b"", len(data), "image/jpeg")
    assert await sent(loaded) == data
    assert await sent(loaded) == data


async def test_many_bytes_are_sent_in_pieces() -> None:
    data = JPEG + os.urandom(2 * HELD_BYTES)
    loaded = await load(data)
    assert not isinstance(loaded.payload(lambda: None), bytes)
    assert await sent(loaded) == data


async def test_reading_does_not_hold_up_the_event_loop(tmp_path: Path, photo: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(bytes(2 * HELD_BYTES))
    with blockbuster_ctx(), photo.open("rb") as file:
        await sent(await load(photo))
        await sent(await load(file))
        await sent(await load(large))


async def test_a_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(JPEG,))
    writer.start()
    loaded = await load(path)
    writer.join()
    assert await sent(loaded) == JPEG


class Endless(io.BytesIO):
    """Reads as the same bytes for ever, so that what is held of them takes no memory."""

    _CHUNK = bytes(256 * 1024)

    def read(self, size: int | None = -1, /) -> bytes:
        return self._CHUNK


async def test_an_unseekable_source_is_held_up_to_a_limit() -> None:
    with pytest.raises(BadImageError, match=f"larger than {MAX_HELD_BYTES} bytes"):
        await load(Endless())


async def test_a_shrunken_file_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(bytes(2 * HELD_BYTES))
    loaded = await load(path)
    path.write_bytes(b"short")
    with pytest.raises(BadImageError, match="became shorter"):
        await sent(loaded)


async def test_a_grown_file_is_sent_to_its_announced_length(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(bytes(2 * HELD_BYTES))
    loaded = await load(path)
    path.write_bytes(bytes(3 * HELD_BYTES))
    assert len(await sent(loaded)) == 2 * HELD_BYTES


async def test_a_vanished_file_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(bytes(2 * HELD_BYTES))
    loaded = await load(path)
    path.unlink()
    with pytest.raises(BadImageError, match="no such file or directory"):
        await sent(loaded)


@pytest.mark.parametrize(
    ("name", "reason"), [("missing.jpg", "no such file"), (".", "is a directory"), ("a\0b", "null byte")]
)
async def test_a_file_that_cannot_be_read_is_a_bad_image(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(BadImageError, match=reason) as caught:
        await load(str(tmp_path / name))
    assert (caught.value.status, caught.value.request_id) == (None, None)


async def test_a_closed_file_is_a_bad_image() -> None:
    file = io.BytesIO(JPEG)
    file.close()
    with pytest.raises(BadImageError, match="closed file"):
        await load(file)


@pytest.mark.parametrize("source", [7, None, io.StringIO("text"), ["a.jpg"]])
async def test_an_object_of_another_type_is_a_type_error(source: Any) -> None:
    with pytest.raises(TypeError, match="an image is"):
        await load(source)


async def test_a_url_is_not_taken_for_a_path() -> None:
    with pytest.raises(BadImageError, match=r"^a URL is not fetched: download it and name the file$"):
        await load("https://example.com/cat.jpg")


@pytest.mark.parametrize("shape", [(3, 2), (3, 2, 1), (3, 2, 3), (3, 2, 4)])
async def test_an_array_is_sent_as_png_without_loss(shape: tuple[int, ...]) -> None:
    pixels = numpy.arange(numpy.prod(shape), dtype=numpy.uint8).reshape(shape)
    loaded = await load(pixels)
    assert loaded.content_type == "image/png"
    found = numpy.asarray(PIL.Image.open(io.BytesIO(loaded.held)))
    assert found.reshape(shape).tolist() == pixels.tolist()


async def test_a_slice_of_an_array_is_sent_row_by_row() -> None:
    pixels = numpy.arange(48, dtype=numpy.uint8).reshape(4, 4, 3)[::2, ::-1]
    loaded = await load(pixels)
    assert numpy.asarray(PIL.Image.open(io.BytesIO(loaded.held))).tolist() == pixels.tolist()


@pytest.mark.parametrize(
    "pixels", [numpy.zeros((1, 1, 3)), numpy.zeros((2, 2, 2), numpy.uint8), numpy.zeros((0, 2), numpy.uint8)]
)
async def test_an_array_that_is_no_picture_is_a_bad_image(pixels: Any) -> None:
    with pytest.raises(BadImageError, match=r"pixels are uint8 .* and this is"):
        await load(pixels)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK", "P", "RGBA", "1"])
async def test_a_pil_image_is_sent_as_png(mode: str) -> None:
    picture = PIL.Image.new("RGB", (3, 2), (200, 100, 50)).convert(mode)
    loaded = await load(picture)
    assert loaded.content_type == "image/png"
    assert PIL.Image.open(io.BytesIO(loaded.held)).size == (3, 2)


async def test_a_pil_image_keeps_its_orientation() -> None:
    buffer = io.BytesIO()
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    PIL.Image.new("RGB", (3, 2)).save(buffer, "JPEG", exif=exif)
    loaded = await load(PIL.Image.open(buffer))
    assert PIL.Image.open(io.BytesIO(loaded.held)).getexif()[0x0112] == 6


async def test_a_damaged_pil_image_is_a_bad_image() -> None:
    with pytest.raises(BadImageError):
        await load(PIL.Image.open(io.BytesIO(_damaged_jpeg())))


def _damaged_jpeg() -> bytes:
    buffer = io.BytesIO()
    PIL.Image.new("RGB", (300, 200)).save(buffer, "JPEG")
    return buffer.getvalue()[:700]


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("a/cat.jpg", "a/cat.jpg"),
        (b"x", "the bytes"),
        (io.BytesIO(b"x"), "the file"),
        (numpy.zeros((1, 1)), "the array"),
        (PIL.Image.new("L", (1, 1)), "the PIL image"),
    ],
)
def test_every_source_has_a_name_for_errors(source: Any, name: str) -> None:
    assert source_name(source) == name


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "image/png"),
        (b"GIF87a", "image/gif"),
        (b"GIF89a", "image/gif"),
        (b"BM\x00\x00", "image/bmp"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"RIFF\x00\x00\x00\x00WAVE", UNKNOWN),
        (b"hello", UNKNOWN),
        (b"", UNKNOWN),
    ],
)
def test_the_first_bytes_tell_the_type(head: bytes, name: str) -> None:
    assert content_type(head) == name


def test_a_photograph_is_a_jpeg(photo: Path) -> None:
    assert content_type(photo.read_bytes()[:12]) == "image/jpeg"
