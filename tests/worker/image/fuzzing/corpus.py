"""Small pictures in every format and layout that is read, drawn and photographed."""

from __future__ import annotations

import io
import random
from typing import Any

from PIL import Image, ImageDraw

from tests.support.photos import PHOTOS

_SIDE = 48


def corpus() -> list[bytes]:
    """The same files each time."""
    files: list[bytes] = []
    exif = Image.Exif()
    exif[0x0112] = 6
    for image in (
        _drawn(),
        *(Image.open(path).convert("RGB").resize((_SIDE, 40)) for path in PHOTOS.values()),
    ):
        grey, palette, clear = image.convert("L"), image.quantize(32), image.copy()
        clear.putalpha(Image.linear_gradient("L").resize(image.size))
        files += [
            _saved(image, "JPEG", quality=80, exif=exif),
            _saved(image, "JPEG", progressive=True, subsampling=0),
            _saved(grey, "JPEG", restart_marker_rows=1),
            _saved(image.convert("CMYK"), "JPEG"),
            _saved(image, "PNG", exif=exif),
            _saved(palette, "PNG", transparency=3, bits=8),
            _saved(clear, "PNG"),
            _saved(grey.convert("1"), "PNG"),
            _saved(grey.convert("I;16"), "PNG"),
            _saved(image, "PNG", save_all=True, append_images=[image.rotate(90)]),
            _saved(palette, "GIF", comment=b"a comment", transparency=2),
            _saved(palette, "GIF", interlace=True, save_all=True, append_images=[palette.rotate(90)]),
            _saved(image, "BMP"),
            _saved(palette, "BMP"),
            _saved(grey.convert("1"), "BMP"),
            _saved(image, "WEBP", quality=70),
            _saved(clear, "WEBP", exif=exif),
            _saved(image, "WEBP", lossless=True),
            _saved(clear, "WEBP", save_all=True, append_images=[clear.rotate(90)]),
            _saved(clear, "AVIF", speed=10),
        ]
    return files


def _drawn() -> Image.Image:
    """Lines and noise, which flat pictures lack."""
    image = Image.new("RGB", (_SIDE, _SIDE), "white")
    draw, source = ImageDraw.Draw(image), random.Random(5)
    for _ in range(40):
        ends = [source.randrange(_SIDE) for _ in range(4)]
        draw.line(ends, fill=(source.randrange(256), source.randrange(256), 0))
    return image


def _saved(image: Image.Image, format_name: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_name, **options)
    return buffer.getvalue()
