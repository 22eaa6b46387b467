"""Pictures of one colour, and their labels: made without TensorFlow."""

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

COLOURS = ("red", "green", "blue")


def picture(colour: str, format_name: str = "PNG") -> bytes:
    """A picture of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", (20, 12), colour).save(buffer, format_name)
    return buffer.getvalue()


def write_labels(folder: Path, labels: Sequence[str] = COLOURS) -> Path:
    """Write labels.txt."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "labels.txt"
    path.write_text("\n".join(labels) + "\n", encoding="utf-8")
    return path
