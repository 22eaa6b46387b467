"""How many images run in the session at once, and how many requests that takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

# Whoever rides in a batch waits for all of it, so one twice as large has to be worth that.
_WORTH: Final = 0.97


def batch_sizes(most: int) -> tuple[int, ...]:
    """The sizes to be tried where at most so many run together, smallest first: doubling, and `most` itself.

    TensorFlow plans each size anew when it first meets it, so few are used and all of them are warmed up.
    """
    doubling = (2**power for power in range(most.bit_length()))
    return tuple(sorted({*doubling, most}))


def sizes_that_pay(seconds: Mapping[int, float]) -> tuple[int, ...]:
    """Those of the sizes that are worth running, smallest first; the smallest always is.

    `seconds` is what a batch costs, by its size. One that costs as much for each image as a smaller one would
    only make its images wait for each other.
    """
    kept: list[int] = []
    best_s = float("inf")
    for size in sorted(seconds):
        each_s = seconds[size] / size
        if not kept or each_s < best_s * _WORTH:
            kept.append(size)
            best_s = each_s
    return tuple(kept)


def threads_for(lanes: int, largest: int) -> int:
    """How many requests are worked on at once: while batches of the largest size run in all lanes, the images
    of one more are decoded.
    """
    return (lanes + 1) * largest
