"""Pictures of one colour, for whoever asks a worker: made without TensorFlow."""

import io

from PIL import Image

COLOURS = ("red", "green", "blue")


def picture(colour: str, format_name: str = "PNG") -> bytes:
    """A picture of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", (20, 12), colour).save(buffer, format_name)
    return buffer.getvalue()
