"""JPEG files segment by segment, for what no honest encoder writes."""

import io

from PIL import Image


def jpeg(image: Image.Image, **options: object) -> bytes:
    """As Pillow writes it."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def segment(marker: int, body: bytes = b"") -> bytes:
    """One segment with its length."""
    return bytes((0xFF, marker)) + (len(body) + 2).to_bytes(2, "big") + body


def after_start(data: bytes, *segments: bytes) -> bytes:
    """The file with these bytes behind its start marker."""
    return data[:2] + b"".join(segments) + data[2:]


def with_many_scans(image: Image.Image, scans: int) -> bytes:
    """A progressive JPEG whose last scan comes so many times again."""
    data = jpeg(image, progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * scans + data[-2:]


def framed(marker: int, bits: int = 8) -> bytes:
    """A grey JPEG of 8 x 8 pixels whose frame says another coding or precision; it can't be decoded so."""
    data = jpeg(Image.new("L", (8, 8)))
    frame = data.index(b"\xff\xc0")
    return (
        data[: frame + 1]
        + bytes((marker,))
        + data[frame + 2 : frame + 4]
        + bytes((bits,))
        + data[frame + 5 :]
    )
