"""How many images run in the session at once."""

from __future__ import annotations


def batch_sizes(most: int) -> tuple[int, ...]:
    """The sizes in use where at most so many run together, smallest first: doubling, and `most` itself.

    TensorFlow plans each size anew when it first meets it, so few are used and all of them are warmed up.
    """
    doubling = (2**power for power in range(most.bit_length()))
    return tuple(sorted({*doubling, most}))
