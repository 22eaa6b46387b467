"""Choose the batch sizes, and the number of threads that can fill them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

# Each image of a batch waits for the whole batch, so a larger size has to cost at least 3 % less per image.
_MIN_GAIN: Final = 0.97


def batch_sizes(most: int) -> tuple[int, ...]:
    """The batch sizes to try, ascending: the powers of 2 up to `most`, and `most` itself.

    TensorFlow plans each size at its first run, so there are only a few and all of them are warmed up.
    """
    doubling = (2**power for power in range(most.bit_length()))
    return tuple(sorted({*doubling, most}))


def efficient_batch_sizes(seconds: Mapping[int, float]) -> tuple[int, ...]:
    """The batch sizes that are worth using, ascending; the smallest always is.

    `seconds` maps each size to the seconds that a batch takes. A size that is no faster per image than a
    smaller one would only make its images wait for each other.
    """
    kept: list[int] = []
    best_s = float("inf")
    for size in sorted(seconds):
        each_s = seconds[size] / size
        if not kept or each_s < best_s * _MIN_GAIN:
            kept.append(size)
            best_s = each_s
    return tuple(kept)


def request_threads(concurrent_runs: int, largest: int) -> int:
    """How many requests to work on at once: enough to decode the next batch while `concurrent_runs`
    batches of the largest size run.
    """
    return (concurrent_runs + 1) * largest
