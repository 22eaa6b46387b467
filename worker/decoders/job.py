"""What a decoder is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Job:
    """One call of a function in a decoder.

    `name` is the function's, `arguments` are what JSON can say. `memory_bytes` and `cpu_s` are estimates of
    what it takes: bytes while it runs, and seconds of one CPU.
    """

    name: str
    arguments: Mapping[str, Any]
    body: bytes
    memory_bytes: int
    cpu_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the function gave: `header` is what it says of the body.

    Or, where it raised an exception, `{"error": NAME OF ITS CLASS, "message": TEXT}` and no body;
    with `"unexpected": true` unless it is one that the function is known to raise.
    """

    header: Mapping[str, Any]
    body: bytes
