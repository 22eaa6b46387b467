"""Sends mutated pictures through the whole way that a worker decodes them, and holds it to its bounds.

    python -m tests.worker.image.fuzzing.fuzz --runs 50000 --seed 1

Each run is either a picture or one of the documented errors. In the worker's own process no run may take a
second of CPU, and all together no more than 200 MB. What a worker would decode in a process of its own is
decoded in one here, too.
"""

from __future__ import annotations

import argparse
import collections
import json
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Final

from tests.worker.image.fuzzing.corpus import corpus
from tests.worker.image.fuzzing.mutations import mutated
from tfleet.worker.image.errors import ImageError
from tfleet.worker.image.geometry import Geometry
from tfleet.worker.image.limits import ImageLimits
from tfleet.worker.image.preprocess import IsolatedDecode, encoded, pixels

MAX_CPU_S: Final = 1.0
MAX_BYTES: Final = 200_000_000
_GEOMETRY: Final = Geometry(32, 32, 0.875, "bicubic")


@dataclass(slots=True)
class Found:
    """What came of the runs: how often each outcome, the longest in seconds of CPU, the growth in bytes."""

    outcomes: collections.Counter[str] = field(default_factory=collections.Counter)
    longest_s: float = 0.0
    longest_run: int = -1
    grown_bytes: int = 0


def fuzz(seed: int, runs: int, apart: IsolatedDecode) -> Found:
    """Raises whatever a run raises that is no ImageError, with the number of the run as a note."""
    found, limits = Found(), ImageLimits()
    before = _peak_bytes()
    for number, data in enumerate(_files(seed, runs)):
        began_s = time.process_time()
        try:
            if number % 8:
                assert pixels(data, limits, _GEOMETRY, apart).shape == (32, 32, 3)
            else:
                encoded(data, limits, apart)
            found.outcomes["a picture"] += 1
        except ImageError as error:
            if "\n" in str(error):
                raise AssertionError("a message of more than one line") from error
            found.outcomes[type(error).__name__] += 1
        except BaseException as error:
            error.add_note(f"run {number} with seed {seed}")
            raise
        took_s = time.process_time() - began_s
        if took_s > found.longest_s:
            found.longest_s, found.longest_run = took_s, number
    found.grown_bytes = _peak_bytes() - before
    return found


def _files(seed: int, runs: int) -> Iterator[bytes]:
    random, files = Random(seed), corpus()
    for _ in range(runs):
        yield mutated(random.choice(files), files, random)


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Run, and say what was found."""
    from tests.worker.image.fuzzing.decoder_processes import decoders  # noqa: PLC0415 - starts processes

    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--runs", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="for pipes")
    options = parser.parse_args()
    with decoders() as apart:
        found = fuzz(options.seed, options.runs, apart)
    if options.json:
        print(json.dumps({name: getattr(found, name) for name in Found.__slots__}))
        return
    print(f"{options.runs} runs, seed {options.seed}: {dict(found.outcomes)}")
    print(f"longest: {found.longest_s * 1000:.0f} ms of CPU (run {found.longest_run})")
    print(f"grown by {found.grown_bytes} bytes")
    if found.longest_s > MAX_CPU_S or found.grown_bytes > MAX_BYTES:
        sys.exit(1)


if __name__ == "__main__":
    main()
