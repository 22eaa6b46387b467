"""The photographs that are sent: a small one, and larger ones made from it, the same in each run."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageFilter

SMALL: Final = "35 kB"
MIDDLE: Final = "500 kB"
LARGE: Final = "12 MP"

_CAT = Path(__file__).parents[2] / "tests/data/cat.jpg"
_GRAIN = 5.0  # as of a telephone's camera by indoor light, in steps of 0 to 255


def photos() -> dict[str, bytes]:
    """JPEG bytes by the photograph's name."""
    return {
        SMALL: _CAT.read_bytes(),
        MIDDLE: _enlarged(1600, 1200, quality=88),
        LARGE: _enlarged(4000, 3000, quality=93),
    }


def _enlarged(width: int, height: int, *, quality: int) -> bytes:
    """The cat at another size, with edges as sharp as a camera's and grain, which is what makes a photograph
    large and its entropy coding dear.
    """
    with Image.open(_CAT) as cat:
        large = cat.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
    sharp = np.asarray(large.filter(ImageFilter.UnsharpMask(radius=6, percent=120)), dtype=np.float32)
    grain = np.random.default_rng(1).normal(0.0, _GRAIN, (height, width, 1)).astype(np.float32)
    picture = np.clip(sharp + grain, 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    return buffer.getvalue()
