"""`python -m benchmarks.worker.decoders`: what it costs to turn a JPEG into pixels, by decoder and by size.

Writes docs/benchmarks/decoders.md. Milliseconds of processor time, decoding alone, all in turns.
"""

from __future__ import annotations

import argparse
import datetime
import io
import itertools
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import simplejpeg
from PIL import Image

from benchmarks.load.photos import LARGE, photos
from benchmarks.report.machine import machine, versions
from tfleet.worker.image.geometry import Geometry
from tfleet.worker.image.limits import ImageLimits
from tfleet.worker.image.preprocess import pixels
from tfleet.worker.model.tensorflow import tf

ROOT = Path(__file__).parents[2]
_MODEL: Final = Geometry(224, 224, 0.875, "bicubic")  # the default model's
_LEAST: Final = 2 * 224  # what is left to the resampler, as in worker/image/preprocess.py
_RATIOS: Final = (8, 4, 2, 1)


def pillow_whole(jpeg: bytes) -> object:
    """All pixels."""
    with Image.open(io.BytesIO(jpeg), formats=("JPEG",)) as image:
        image.load()
        return image


def pillow(jpeg: bytes) -> object:
    """At the fraction that the worker asks for."""
    with Image.open(io.BytesIO(jpeg), formats=("JPEG",)) as image:
        image.draft(None, (_LEAST, _LEAST))
        image.load()
        return image


def simplejpeg_fraction(jpeg: bytes) -> object:
    """libjpeg-turbo without anything around it, at the same fraction."""
    return simplejpeg.decode_jpeg(jpeg, min_height=_LEAST, min_width=_LEAST, min_factor=1)


def tfleet(jpeg: bytes) -> object:
    """The worker's whole way: decoded, turned upright, cropped and resampled for the default model."""
    return pixels(jpeg, ImageLimits(), _MODEL)


class TensorFlow:
    """tf.io.decode_jpeg in a session, at a fraction that does not go below the same size."""

    def __init__(self) -> None:
        graph = tf.Graph()
        with graph.as_default():
            self._jpeg = tf.compat.v1.placeholder(tf.string, [])
            self._pixels = {
                ratio: tf.io.decode_jpeg(self._jpeg, channels=3, ratio=ratio).op for ratio in _RATIOS
            }
        self._session = tf.compat.v1.Session(graph=graph)

    def whole(self, jpeg: bytes) -> object:
        """All pixels."""
        return self._session.run(self._pixels[1], {self._jpeg: jpeg})

    def fraction(self, jpeg: bytes) -> object:
        """At the fraction."""
        with Image.open(io.BytesIO(jpeg)) as image:
            shorter = min(image.size)
        ratio = next((ratio for ratio in _RATIOS if shorter // ratio >= _LEAST), 1)
        return self._session.run(self._pixels[ratio], {self._jpeg: jpeg})


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.worker.decoders", description=(__doc__ or "").split("\n\n")[1]
    )
    parser.add_argument("--rounds", type=int, default=20, help="how often each is measured (default: 20)")
    rounds = parser.parse_args().rounds
    tensorflow = TensorFlow()
    decoders: dict[str, Callable[[bytes], object]] = {
        "Pillow, all pixels": pillow_whole,
        "TensorFlow, all pixels": tensorflow.whole,
        "Pillow, at a fraction": pillow,
        "simplejpeg, at a fraction": simplejpeg_fraction,
        "TensorFlow, at a fraction": tensorflow.fraction,
        "the worker, with crop and resampling": tfleet,
    }
    jpegs = photos()
    jpegs["12 MP, small file"] = _saved_again(jpegs[LARGE], quality=80)
    table = _table(_least_ms(decoders, jpegs, rounds), jpegs, rounds)
    (ROOT / "docs/benchmarks/decoders.md").write_text(table)
    print(table)


def _least_ms(
    decoders: dict[str, Callable[[bytes], object]], jpegs: dict[str, bytes], rounds: int
) -> dict[tuple[str, str], float]:
    """The least of some rounds, in which all take turns; of the processor, whichever thread it ran in."""
    least = dict.fromkeys(itertools.product(decoders, jpegs), float("inf"))
    for number in range(rounds):
        for name, photo in least:
            began_s = time.process_time()
            decoders[name](jpegs[photo])
            least[name, photo] = min(least[name, photo], (time.process_time() - began_s) * 1000)
        print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
    return least


def _table(least_ms: dict[tuple[str, str], float], jpegs: dict[str, bytes], rounds: int) -> str:
    command = f".venv/bin/python -m benchmarks.worker.decoders --rounds {rounds}"
    used = versions(["pillow", "simplejpeg", "tensorflow-cpu"])
    heads = [f"{_size(jpeg)}, {len(jpeg) / 1e6:.2f} MB" for jpeg in jpegs.values()]
    lines = [
        "# What it costs to decode a JPEG",
        "",
        f"`{command}` on {datetime.date.today()}:",
        f"{machine()};",
        f"{used}.",
        "",
        f"Milliseconds of processor time, the least of {rounds} rounds in turns. *At a fraction*: libjpeg's",
        f"1/2, 1/4 or 1/8 of each side that leaves at least {_LEAST} pixels, twice the default model's size.",
        "",
        "| | " + " | ".join(heads) + " |",
        "|---" * (1 + len(heads)) + "|",
    ]
    for name in dict.fromkeys(name for name, _ in least_ms):
        cells = " | ".join(f"{least_ms[name, photo]:.1f}" for photo in jpegs)
        lines.append(f"| {name} | {cells} |")
    lines += [
        "",
        "What is left of a large photograph's time is the entropy coding of its bytes, which has to be",
        "undone in full whatever size is wanted: it grows with the file, not with the pixels.",
        "",
    ]
    return "\n".join(lines)


def _saved_again(jpeg: bytes, *, quality: int) -> bytes:
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(jpeg)) as image:
        image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _size(jpeg: bytes) -> str:
    with Image.open(io.BytesIO(jpeg)) as image:
        width, height = image.size
    megapixels = width * height / 1e6
    return f"{width} x {height}" if megapixels < 1 else f"{megapixels:.0f} MP"


if __name__ == "__main__":
    main()
