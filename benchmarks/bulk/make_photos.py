"""Make photographs of four: cropped, mirrored and compressed in other ways, and the same each time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

_SOURCES: Final = sorted((Path(__file__).parents[2] / "tests/data").glob("*.jpg"))
_MOST_CROPPED: Final = 16  # pixels, from each side
_QUALITY: Final = (85, 93)


def make_photos(folder: Path, count: int) -> Sequence[Path]:
    """Write so many JPEG files, no two with the same content; the four photographs take turns."""
    folder.mkdir()
    chance = np.random.default_rng(16)
    names = [folder / f"photo-{number:05d}.jpg" for number in range(count)]
    pictures = [Image.open(source).convert("RGB") for source in _SOURCES]
    for number, name in enumerate(names):
        picture = pictures[number % len(pictures)]
        left, top, right, bottom = map(int, chance.integers(0, _MOST_CROPPED, 4))
        picture = picture.crop((left, top, picture.width - right, picture.height - bottom))
        if chance.integers(2):
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        picture.save(name, "JPEG", quality=int(chance.integers(*_QUALITY)))
    return names
