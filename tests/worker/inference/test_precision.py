"""bfloat16 is chosen where the CPU has it and the answers stay, and what speaks against it is said."""

import numpy as np
import numpy.typing as npt
import pytest

from tfleet.worker.inference.precision import (
    PrecisionChoice,
    accuracy_obstacle,
    agreement,
    cpu_obstacle,
    fall_back_to_float32,
)
from tfleet.worker.model.errors import ModelError

LABELS = ("red", "green", "blue")


def cpuinfo(flags: str) -> str:
    return (
        f"processor\t: 0\nvendor_id\t: AuthenticAMD\nflags\t\t: fpu {flags} sse\nbugs\t\t: amx_bf16\n\n" * 2
    )


def rows(**probabilities: list[float]) -> dict[str, npt.NDArray[np.float32]]:
    return {name: np.array(row, dtype=np.float32) for name, row in probabilities.items()}


@pytest.mark.parametrize("flags", ["avx512_bf16", "amx_bf16", "avx512f avx512_bf16 amx_bf16"])
def test_a_cpu_with_bfloat16_instructions_is_recognised(flags: str) -> None:
    assert cpu_obstacle(cpuinfo(flags)) == ""


@pytest.mark.parametrize("flags", ["", "avx2", "avx512f avx512_vnni", "amx_tile amx_int8", "avx512_bf16_not"])
def test_a_cpu_without_bfloat16_instructions_is_recognised(flags: str) -> None:
    assert cpu_obstacle(cpuinfo(flags)) == "this CPU has no bfloat16 instructions (avx512_bf16 or amx_bf16)"


def test_a_cpu_that_has_no_flags_is_not() -> None:
    assert "no bfloat16 instructions" in cpu_obstacle("processor\t: 0\nFeatures\t: fp asimd bf16\n")


@pytest.mark.parametrize(
    ("lower", "obstacle"),
    [
        ({"a": [0.68, 0.19, 0.13]}, ""),
        ({"a": [0.7, 0.2, float("nan")]}, "bfloat16 gives numbers that are not finite for a"),
        ({"a": [0.4, 0.5, 0.1]}, "bfloat16 changes the label of a from 'red' to 'green'"),
        ({"a": [0.6, 0.2, 0.2]}, "bfloat16 changes a probability of a by 0.100, more than 0.05"),
        (
            {"a": [0.69, 0.2, 0.11], "b": [0.0, 0.4, 0.6]},
            "bfloat16 changes a probability of b by 0.100, more than 0.05",
        ),
        (
            {"a": [0.69, 0.2, 0.11], "b": [0.0, 0.51, 0.49]},
            "bfloat16 changes the label of b from 'blue' to 'green'",
        ),
        (
            {"a": [0.7, 0.2, 0.1], "b": [0.0, 0.3, 0.7]},
            "bfloat16 has no effect: TensorFlow runs no operation of this graph in bfloat16 on this CPU",
        ),
    ],
)
def test_answers_must_be_close_but_not_identical(lower: dict[str, list[float]], obstacle: str) -> None:
    reference = rows(a=[0.7, 0.2, 0.1], b=[0.0, 0.3, 0.7])
    assert accuracy_obstacle(reference, rows(**lower), LABELS, 0.05) == obstacle


def test_a_change_of_exactly_the_tolerance_is_allowed() -> None:
    assert accuracy_obstacle(rows(a=[0.75, 0.25]), rows(a=[0.625, 0.375]), LABELS, 0.125) == ""


def test_the_comparison_is_logged() -> None:
    reference, lower = rows(a=[0.7, 0.3], b=[0.5, 0.5]), rows(a=[0.696, 0.304], b=[0.501, 0.499])
    assert agreement(reference, lower) == "largest change 0.004 on 2 sample images"


def test_auto_gives_way_and_says_why() -> None:
    assert fall_back_to_float32("auto", "this CPU is old") == PrecisionChoice("float32", "this CPU is old")


@pytest.mark.parametrize(
    ("obstacle", "hint"),
    [
        ("this CPU is old", "; use --precision auto or float32"),
        ("bfloat16 changes a probability", "; see --precision-tolerance, or use --precision auto or float32"),
    ],
)
def test_explicit_bfloat16_is_never_replaced(obstacle: str, hint: str) -> None:
    with pytest.raises(ModelError) as raised:
        fall_back_to_float32("bfloat16", obstacle)
    assert str(raised.value) == f"--precision bfloat16: {obstacle}{hint}"
