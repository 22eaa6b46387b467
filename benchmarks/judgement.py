"""Whether a page may judge. It says that a bar is met or missed only where the machine was quiet and all was
measured as long as it has to be.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.machine import QUIET


def crowded(strangers: float) -> list[str]:
    """The doubt that comes of strangers, who use so many of the machine's processors."""
    return [f"others used {strangers:.2f} CPUs"] if strangers > QUIET else []


def short(what: str, found: float, wanted: float) -> list[str]:
    """The doubt that comes of measuring less than is wanted, as in `2 rounds instead of 5`."""
    return [f"{found:g} {what} instead of {wanted:g}"] if found < wanted else []


def verdict(said: str, doubts: Sequence[str]) -> str:
    """What is said of a bar, where there is no doubt."""
    return f"not judged: {', '.join(doubts)}" if doubts else said
