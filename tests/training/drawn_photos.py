"""Photographs of drawn things: each is another one, and those of a class are easily told from the others."""

from __future__ import annotations

import io
import random
import subprocess
from pathlib import Path

from PIL import Image, ImageDraw

Retrained = subprocess.CompletedProcess[str]

SHAPES = ("ellipse", "rectangle", "stripes", "chord")
_SIDE = 96


def drawn(shape: str, number: int, form: str = "JPEG", mode: str = "RGB") -> bytes:
    """The bytes of a picture of a shape; another one for each number."""
    chance = random.Random(f"{shape} {number}")
    picture = Image.new("RGB", (_SIDE, _SIDE), _colour(chance, 150, 255))
    draw = ImageDraw.Draw(picture)
    for _ in range(3):
        left, top = chance.randrange(_SIDE // 2), chance.randrange(_SIDE // 2)
        size = chance.randrange(30, 48)
        box, colour = (left, top, left + size, top + size), _colour(chance, 0, 120)
        if shape == "ellipse":
            draw.ellipse(box, fill=colour)
        elif shape == "rectangle":
            draw.rectangle(box, fill=colour)
        elif shape == "stripes":
            for at in range(0, _SIDE, 8):
                draw.line((at + left % 8, 0, at + left % 8, _SIDE), fill=colour, width=2)
        else:
            draw.chord(box, 20, 200, fill=colour)
    buffer = io.BytesIO()
    picture.convert(mode).save(buffer, form)
    return buffer.getvalue()


def _colour(chance: random.Random, least: int, most: int) -> tuple[int, int, int]:
    return chance.randint(least, most), chance.randint(least, most), chance.randint(least, most)


def draw_photos(root: Path, classes: dict[str, tuple[str, int]], *, start: int = 0) -> Path:
    """Write for each class so many photographs of a shape; return the folder."""
    for label, (shape, count) in classes.items():
        (root / label).mkdir(parents=True, exist_ok=True)
        for number in range(start, start + count):
            (root / label / f"{number}.jpg").write_bytes(drawn(shape, number))
    return root
