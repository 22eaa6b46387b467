"""Whether a measurement is valid: on a quiet machine, and long enough.

A page says that a target is met or missed only if it is.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.report.machine import QUIET


def crowded(strangers: float) -> list[str]:
    """The reason against a measurement while other processes used this many CPUs, if there is one."""
    return [f"others used {strangers:.2f} CPUs"] if strangers > QUIET else []


def short(what: str, found: float, wanted: float) -> list[str]:
    """The reason against a measurement that was too short, as in `2 rounds instead of 5`."""
    return [f"{found:g} {what} instead of {wanted:g}"] if found < wanted else []


def verdict(said: str, doubts: Sequence[str]) -> str:
    """The verdict on a target, or why there is none."""
    return f"not judged: {', '.join(doubts)}" if doubts else said
