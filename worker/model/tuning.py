"""How a model is computed: on how many CPUs, and in which precision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfleet.worker.model.precision import Wanted


@dataclass(frozen=True, slots=True)
class Tuning:
    """`tolerance`, from 0 to 1, is how far bfloat16 may move a probability."""

    cpus: int
    precision: Wanted
    tolerance: float
