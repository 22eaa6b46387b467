"""HEIC is read where pillow-heif is installed, by decoder processes only; else it is said how to get it."""

import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.worker.image.fuzzing.decoder_processes import decoders
from tfleet.worker.image.errors import BrokenImageError, TooManyPixelsError
from tfleet.worker.image.geometry import Geometry
from tfleet.worker.image.limits import ImageLimits
from tfleet.worker.image.preprocess import encoded, pixels

pytestmark = pytest.mark.process


_GEOMETRY = Geometry(40, 60)


def _heic(orientation: int = 1) -> bytes:
    """Red above, blue below, as it is to be seen."""
    from pillow_heif import from_pillow  # noqa: PLC0415 - the worker's own process must not import it

    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = Image.new("RGB", (120, 80), "red")
    picture.paste("blue", (0, 40, 120, 80))
    buffer = io.BytesIO()
    from_pillow(picture).save(buffer, quality=90, exif=exif.tobytes())
    return buffer.getvalue()


def test_a_heic_is_read_in_a_decoder_process() -> None:
    with decoders() as apart:
        out = pixels(_heic(), ImageLimits(), _GEOMETRY, apart)
        assert out.shape == (40, 60, 3)
        assert out[5, 30].tolist() == pytest.approx([254, 0, 0], abs=12)
        assert out[35, 30].tolist() == pytest.approx([0, 0, 254], abs=12)
        png = Image.open(io.BytesIO(encoded(_heic(), ImageLimits(), apart)))
        assert (png.format, png.size) == ("PNG", (120, 80))


def test_the_size_of_a_heic_is_bounded_by_its_header() -> None:
    with pytest.raises(TooManyPixelsError):
        pixels(_heic(), ImageLimits(9_000), _GEOMETRY)


def test_a_damaged_heic_is_an_error() -> None:
    data = _heic()
    with decoders() as apart:
        for sent in (data[:-200], data[: len(data) // 2], data.replace(b"hvcC", b"hvcX")):
            with pytest.raises(BrokenImageError):
                pixels(sent, ImageLimits(), _GEOMETRY, apart)


def test_without_the_extra_the_error_says_how_to_get_it() -> None:
    """In a process that can't find it."""
    code = (
        "import sys; sys.modules['pillow_heif'] = None\n"
        "from tfleet.worker.image.formats import read_header\n"
        "from tfleet.worker.image.limits import ImageLimits\n"
        "try: read_header(sys.stdin.buffer.read(), ImageLimits())\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=_heic(), capture_output=True, check=True, timeout=60
    )
    assert done.stdout.decode().startswith(
        "UnsupportedFormatError this worker does not support HEIC: install the"
    )
    assert b"tfleet[heif]" in done.stdout


def test_pixels_are_the_same_as_those_of_its_png() -> None:
    data = _heic()
    with decoders() as apart:
        flat = encoded(data, ImageLimits(), apart)
        assert (pixels(data, ImageLimits(), _GEOMETRY, apart) == pixels(flat, ImageLimits(), _GEOMETRY)).all()
    assert np.asarray(Image.open(io.BytesIO(flat))).shape == (80, 120, 3)
