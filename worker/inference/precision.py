"""Which precision a model is computed in, and why. Decisions only: no TensorFlow in here.

bfloat16 is float32 with 8 bits of mantissa instead of 24: about twice as fast on CPUs that can multiply it,
and another answer in the third digit. `auto` takes it where nothing speaks against it; whoever asks for
`bfloat16` by name is told what does, and gets nothing else in its place.

How a model is computed: on how many CPUs, and in which precision.
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
Wanted = Literal["auto", "float32", "bfloat16"]
WANTED: tuple[Wanted, ...] = get_args(Wanted)

# As /proc/cpuinfo has them. TensorFlow itself rewrites wherever there is AVX512F or AVX_NE_CONVERT
# (IsDataTypeSupportedByOneDNNOnThisCPU in tensorflow/core/util/util.cc), but without a product of bfloat16
# numbers in hardware oneDNN converts back and forth, which is slower than float32.
INSTRUCTIONS: Final = ("avx512_bf16", "amx_bf16")

# The default model's probabilities moved by at most 0.018 on a CPU that has the instructions, and by 0.048
# where the result of each operation was rounded, which is more than oneDNN does. A model that bfloat16 breaks
# is off by far more.
DEFAULT_TOLERANCE: Final = 0.05


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen, and why in a few words."""

    precision: Precision
    reason: str


def cpu_obstacle(cpuinfo: str) -> str:
    """Why a CPU, as /proc/cpuinfo describes it, should not compute in bfloat16; empty where it should."""
    for line in cpuinfo.splitlines():
        key, _, flags = line.partition(":")
        if key.strip() == "flags":
            if set(INSTRUCTIONS) & set(flags.split()):
                return ""
            break
    return f"this CPU has no bfloat16 instructions ({' or '.join(INSTRUCTIONS)})"


def answers_obstacle(
    reference: Mapping[str, npt.NDArray[np.float32]],
    lower: Mapping[str, npt.NDArray[np.float32]],
    labels: Sequence[str],
    tolerance: float,
) -> str:
    """Why the probabilities in bfloat16 cannot stand for those in float32; empty where they can.

    Both have a row of probabilities, [classes], for each sample image by its name.
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
        return f"bfloat16 moves a probability of {name} by {changes[name]:.3f}, more than {tolerance:g}"
    if changes[name] == 0:
        return "bfloat16 changes nothing: TensorFlow computes no operation of this graph in it here"
    return ""


def agreement(
    reference: Mapping[str, npt.NDArray[np.float32]], lower: Mapping[str, npt.NDArray[np.float32]]
) -> str:
    """How near the two are to each other, in words."""
    largest = max(_largest_change(reference[name], row) for name, row in lower.items())
    return f"largest change {largest:.3f} on {len(lower)} sample images"


def give_way(wanted: Wanted, obstacle: str) -> Choice:
    """What to do where something speaks against bfloat16. Raises `ModelError` where it was asked for so."""
    if wanted == "bfloat16":
        hint = "see --precision-tolerance, or say" if obstacle.startswith("bfloat16 moves") else "say"
        raise ModelError(f"--precision bfloat16: {obstacle}; {hint} --precision auto or float32")
    return Choice("float32", obstacle)


def _largest_change(before: npt.NDArray[np.float32], after: npt.NDArray[np.float32]) -> float:
    return float(np.abs(after - before).max())


@dataclass(frozen=True, slots=True)
class Tuning:
    """`tolerance`, from 0 to 1, is how far bfloat16 may move a probability."""

    cpus: int
    precision: Wanted
    tolerance: float
