"""Decide in which precision a model runs, and say why. Decisions only, no TensorFlow.

bfloat16 is float32 with 8 bits of mantissa instead of 24. It is about twice as fast on CPUs that can multiply
it, and changes probabilities in the third digit. `--precision auto` uses it unless there is an obstacle; with
`--precision bfloat16` an obstacle is an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, get_args

import numpy as np

from tfleet.worker.model.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

Precision = Literal["float32", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
WantedPrecision = Literal["auto", "float32", "bfloat16"]
WANTED_PRECISIONS: tuple[WantedPrecision, ...] = get_args(WantedPrecision)

# CPU flags in /proc/cpuinfo. TensorFlow would use bfloat16 wherever there is AVX512F or AVX_NE_CONVERT
# (IsDataTypeSupportedByOneDNNOnThisCPU in tensorflow/core/util/util.cc), but without hardware that multiplies
# bfloat16 oneDNN converts to float32 and back, which is slower than float32.
INSTRUCTIONS: Final = ("avx512_bf16", "amx_bf16")

# The default model's probabilities changed by at most 0.018 on a CPU that has the instructions, and by 0.048
# where the result of each operation was rounded, which is more than oneDNN does. A model that bfloat16 breaks
# changes by far more.
DEFAULT_TOLERANCE: Final = 0.05


@dataclass(frozen=True, slots=True)
class PrecisionChoice:
    """The chosen precision, and the reason in a few words."""

    precision: Precision
    reason: str


def cpu_obstacle(cpuinfo: str) -> str:
    """Why bfloat16 should not be used on the CPU that /proc/cpuinfo describes; empty if it should."""
    for line in cpuinfo.splitlines():
        key, _, flags = line.partition(":")
        if key.strip() == "flags":
            if set(INSTRUCTIONS) & set(flags.split()):
                return ""
            break
    return f"this CPU has no bfloat16 instructions ({' or '.join(INSTRUCTIONS)})"


def accuracy_obstacle(
    reference: Mapping[str, npt.NDArray[np.float32]],
    lower: Mapping[str, npt.NDArray[np.float32]],
    labels: Sequence[str],
    tolerance: float,
) -> str:
    """Why the probabilities in bfloat16 (`lower`) differ too much from those in float32; empty if they don't.

    Both map the name of each sample image to a row of probabilities, [classes].
    """
    for name, row in lower.items():
        if not np.isfinite(row).all():
            return f"bfloat16 gives numbers that are not finite for {name}"
    for name, row in lower.items():
        before, after = int(reference[name].argmax()), int(row.argmax())
        if before != after:
            return f"bfloat16 changes the label of {name} from {labels[before]!r} to {labels[after]!r}"
    changes = {name: _largest_change(reference[name], row) for name, row in lower.items()}
    name = max(changes, key=lambda each: changes[each])
    if changes[name] > tolerance:
        return f"bfloat16 changes a probability of {name} by {changes[name]:.3f}, more than {tolerance:g}"
    # Rounding always shows somewhere. Without any change TensorFlow has not used bfloat16, and "bfloat16" in
    # the log would be wrong.
    if changes[name] == 0:
        return "bfloat16 has no effect: TensorFlow runs no operation of this graph in bfloat16 on this CPU"
    return ""


def agreement(
    reference: Mapping[str, npt.NDArray[np.float32]], lower: Mapping[str, npt.NDArray[np.float32]]
) -> str:
    """The largest change of a probability on the sample images, in words."""
    largest = max(_largest_change(reference[name], row) for name, row in lower.items())
    return f"largest change {largest:.3f} on {len(lower)} sample images"


def fall_back_to_float32(wanted: WantedPrecision, obstacle: str) -> PrecisionChoice:
    """The choice where there is an obstacle to bfloat16. Raises `ModelError` if `wanted` insists on
    bfloat16.
    """
    if wanted == "bfloat16":
        hint = "see --precision-tolerance, or use" if obstacle.startswith("bfloat16 changes a") else "use"
        raise ModelError(f"--precision bfloat16: {obstacle}; {hint} --precision auto or float32")
    return PrecisionChoice("float32", obstacle)


def _largest_change(before: npt.NDArray[np.float32], after: npt.NDArray[np.float32]) -> float:
    return float(np.abs(after - before).max())


@dataclass(frozen=True, slots=True)
class Tuning:
    """How a model runs: on how many CPUs and in which precision.

    `tolerance` (0 to 1) is the largest change of a probability that bfloat16 may cause.
    """

    cpus: int
    precision: WantedPrecision
    tolerance: float
