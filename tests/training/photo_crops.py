"""Many photographs of few: crops of one, each of another part and size."""

from __future__ import annotations

import io
import random
from pathlib import Path

from PIL import Image


def crops(photo: Path, count: int) -> list[bytes]:
    """The bytes of so many JPEGs: each shows 60 to 90 % of each side of the photograph."""
    chance = random.Random(photo.name)
    found = []
    with Image.open(photo) as picture:
        for _ in range(count):
            share = chance.uniform(0.6, 0.9)
            width, height = round(share * picture.width), round(share * picture.height)
            left, top = chance.randint(0, picture.width - width), chance.randint(0, picture.height - height)
            buffer = io.BytesIO()
            picture.crop((left, top, left + width, top + height)).convert("RGB").save(buffer, "JPEG")
            found.append(buffer.getvalue())
    return found
