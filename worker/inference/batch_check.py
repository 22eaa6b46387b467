"""See by running it whether a signature answers a batch as it answers its rows alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from tfleet.worker.inference.errors import BadInputError
from tfleet.worker.inference.example_inputs import example_inputs
from tfleet.worker.inference.predictor import NotRowsError, has_rows, split_rows

if TYPE_CHECKING:
    from tfleet.worker.inference.model_session import Tensors
    from tfleet.worker.model.graph_facts import GraphFacts
    from tfleet.worker.model.signature import Signature

Run = Callable[[str, "Tensors"], "Tensors"]

_ROWS: Final = 3
# How far numbers may be apart, as a part of the largest one: float32 has 24 bits, bfloat16 only 8.
_TOLERANCE: Final = 1e-4
_LOW_TOLERANCE: Final = 2e-2
_LOW_DTYPES: Final = frozenset({"float16", "bfloat16"})


@dataclass(frozen=True, slots=True)
class BatchCheck:
    """What became of a signature at the warm-up.

    `inputs` are those that it ran with, None where none of them fitted. `obstacle` says why its rows run
    alone, and is empty where they may run together.
    """

    signature: str
    inputs: Tensors | None
    obstacle: str

    @property
    def batched(self) -> bool:
        return not self.obstacle


def check_batches(
    run: Run, signature: Signature, examples: Sequence[Tensors] = (), graph: GraphFacts | None = None
) -> BatchCheck:
    """Run a signature with `examples` of one row each, or else with generated inputs.

    Raises TensorFlow's errors for what is not the inputs' fault.
    """
    name = signature.name
    if signature.stateful:
        inputs, problem = _one_that_runs(run, signature, examples or example_inputs(signature, 1, graph))
        return BatchCheck(name, inputs, problem or "it keeps state")
    if not has_rows(signature):
        inputs, problem = _one_that_runs(run, signature, examples or example_inputs(signature, 1, graph))
        return BatchCheck(name, inputs, problem or "not all of its inputs and outputs have rows")
    problem = "nothing fits its inputs"
    for rows in _three_rows(signature, examples, graph):
        try:
            obstacle = _difference(run, name, rows)
        except BadInputError as error:
            problem = str(error)
            continue
        return BatchCheck(name, rows[0], obstacle)
    return BatchCheck(name, None, problem)


def _one_that_runs(run: Run, signature: Signature, candidates: Any) -> tuple[Tensors | None, str]:
    problem = "nothing fits its inputs"
    for inputs in candidates:
        try:
            run(signature.name, inputs)
        except BadInputError as error:
            problem = str(error)
            continue
        return inputs, ""
    return None, problem


def _three_rows(signature: Signature, examples: Sequence[Tensors], graph: GraphFacts | None) -> Any:
    """Three rows at a time: the examples of one shape, or else generated ones."""
    if examples:
        first = examples[0]
        alike = [each for each in examples if _shapes(each) == _shapes(first)]
        yield [alike[number % len(alike)] for number in range(_ROWS)]
        return
    for inputs in example_inputs(signature, _ROWS, graph):
        yield [{name: array[[row]] for name, array in inputs.items()} for row in range(_ROWS)]


def _shapes(inputs: Tensors) -> list[tuple[str, tuple[int, ...]]]:
    return [(name, array.shape) for name, array in sorted(inputs.items())]


def _difference(run: Run, name: str, rows: Sequence[Tensors]) -> str:
    """How the answer to a batch differs from those to its rows; empty if it doesn't."""
    alone = [run(name, row) for row in rows]
    try:
        split_rows({key: np.concatenate([each[key] for each in alone]) for key in alone[0]}, [1] * len(rows))
    except (NotRowsError, ValueError):
        return "it does not answer one row with one row"
    try:
        together = run(name, {key: np.concatenate([row[key] for row in rows]) for key in rows[0]})
    except BadInputError as error:
        return f"it takes no batch: {error}"
    try:
        parts = split_rows(together, [1] * len(rows))
    except NotRowsError as error:
        return f"of a batch, {error}"
    for key in alone[0]:
        if not all(near(part[key], single[key]) for part, single in zip(parts, alone, strict=True)):
            return f"{key} is different in a batch"
    return ""


def near(found: npt.NDArray[Any], expected: npt.NDArray[Any]) -> bool:
    """Whether two arrays are the same but for rounding."""
    if found.shape != expected.shape:
        return False
    if found.dtype.kind not in "fcV":
        return bool(np.array_equal(found, expected))
    wide = np.complex128 if found.dtype.kind == "c" else np.float64
    tolerance = _LOW_TOLERANCE if found.dtype.name in _LOW_DTYPES else _TOLERANCE
    one, other = found.astype(wide), expected.astype(wide)
    largest = float(np.abs(other[np.isfinite(other)]).max(initial=0))
    return bool(np.allclose(one, other, rtol=0, atol=tolerance * max(largest, 1e-3), equal_nan=True))
