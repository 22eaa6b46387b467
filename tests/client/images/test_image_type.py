from __future__ import annotations

from pathlib import Path

import pytest

from tfleet.client.images.image import UNKNOWN, content_type


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
