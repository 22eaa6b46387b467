"""See by running it whether a signature answers a batch as it answers its rows alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from tfleet.worker.inference.errors import BadInputError
from tfleet.worker.inference.example_inputs import SpreadRows, example_inputs, spread_rows
from tfleet.worker.inference.rows import NotRowsError, maps_rows, split_rows
from tfleet.worker.model.errors import first_line

if TYPE_CHECKING:
    from tfleet.worker.inference.model_session import Tensors
    from tfleet.worker.model.graph_facts import GraphFacts
    from tfleet.worker.model.signature import Signature
    from tfleet.worker.model.spec import ModelSpec

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
    alone, and is empty where they may run together. `alike`: the rows were equal, so that nobody would have
    seen it if the model mixed them up. `left_out` are numbers that rows were not compared with, and why.
    """

    signature: str
    inputs: Tensors | None
    obstacle: str
    alike: bool = False
    left_out: tuple[str, ...] = ()

    @property
    def batched(self) -> bool:
        return not self.obstacle


def unwanted_batches(spec: ModelSpec) -> str:
    """What forbids batches of a model, empty if nothing does."""
    return f"{spec.setting('model.batch', 'batch')} is false" if spec.serving.runs.batch is False else ""


def check_batches(
    run: Run,
    signature: Signature,
    examples: Sequence[Tensors] = (),
    graph: GraphFacts | None = None,
    unwanted: str = "",
) -> BatchCheck:
    """Run a signature with `examples` of one row each, or else with generated inputs; only once where batches
    are `unwanted`, which says why.

    Fewer than three different examples do not show what a row does to the others: equal rows hide padding.
    The generated rows have to pass as well then.

    Raises TensorFlow's errors for what is not the inputs' fault.
    """
    name = signature.name
    obstacle = _known_obstacle(signature) or unwanted
    if obstacle:
        inputs, problem = _one_that_runs(run, signature, examples or example_inputs(signature, 1, graph))
        return BatchCheck(name, inputs, problem or obstacle)
    if not examples:
        return _check_generated(run, signature, graph)
    different = _different(examples)
    rows = [different[number % len(different)] for number in range(_ROWS)]
    check = _check_rows(run, name, [rows])
    if check.batched and len(different) < _ROWS:
        generated = _generated(run, signature, graph)
        alike = check.alike and generated.alike
        return replace(check, obstacle=generated.obstacle, alike=alike, left_out=generated.left_out)
    return check


def _known_obstacle(signature: Signature) -> str:
    """Why the signature can have no batches, before anything has run; empty if nothing is known."""
    if signature.stateful:
        return "it keeps state"
    return "" if maps_rows(signature) else "not all of its inputs and outputs have rows"


def _check_generated(run: Run, signature: Signature, graph: GraphFacts | None) -> BatchCheck:
    """Compare generated rows with a batch of them, and then rows of larger numbers and of both signs."""
    check = _check_rows(run, signature.name, _generated_rows(signature, graph))
    if not check.batched or check.inputs is None:
        return check
    left_out: list[str] = []
    for choices in spread_rows(check.inputs):
        obstacle = _spread_obstacle(run, signature.name, choices, left_out)
        if obstacle:
            return replace(check, obstacle=obstacle, left_out=tuple(left_out))
    return replace(check, left_out=tuple(left_out))


def _spread_obstacle(run: Run, name: str, choices: Sequence[SpreadRows], left_out: list[str]) -> str:
    """What the first rows that the model can compute change in each other's answers; empty if nothing."""
    for values, rows in choices:
        try:
            expected = _expected(run, name, rows)
        except Exception as error:  # of any kind: the model ran with smaller numbers
            left_out.append(f"{values}: {first_line(error)}")
            continue
        obstacle = _influence(run, name, rows, expected)
        return obstacle and f"{obstacle} of {values}"
    return ""


def _expected(run: Run, name: str, rows: Sequence[Tensors]) -> Sequence[Tensors]:
    """The answer to each row, taken from a batch that has nothing else. Raises whatever the model raises.

    Large numbers may make much of the rounding that depends on the size of a batch, so a row that runs alone
    is no measure here.
    """
    answers = []
    for row in rows:
        copies = {key: np.repeat(array, len(rows), axis=0) for key, array in row.items()}
        answers.append(split_rows(run(name, copies), [1] * len(rows))[0])
    if not all(_is_finite(array) for answer in answers for array in answer.values()):
        raise ValueError("the outputs are not finite")
    return answers


def _influence(run: Run, name: str, rows: Sequence[Tensors], expected: Sequence[Tensors]) -> str:
    """What rows change in the answers to each other; empty if nothing."""
    try:
        together = run(name, {key: np.concatenate([row[key] for row in rows]) for key in rows[0]})
        parts = split_rows(together, [1] * len(rows))
    except Exception as error:  # of any kind: each of the rows ran
        return f"it fails ({first_line(error)}) in a batch"
    for key in expected[0]:
        if not all(near(part[key], each[key]) for part, each in zip(parts, expected, strict=True)):
            return f"{key} is different in a batch"
    return ""


def _is_finite(array: npt.NDArray[Any]) -> bool:
    if array.dtype.kind not in "fcV":
        return True
    return bool(np.isfinite(array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)).all())


def _check_rows(run: Run, name: str, candidates: Iterable[Sequence[Tensors]]) -> BatchCheck:
    """Compare the first candidate that fits the signature with a batch of it."""
    problem = "nothing fits its inputs"
    for rows in candidates:
        try:
            obstacle = _difference(run, name, rows)
        except BadInputError as error:
            problem = str(error)
            continue
        return BatchCheck(name, rows[0], obstacle, alike=len(_different(rows)) == 1)
    return BatchCheck(name, None, problem)


def _generated(run: Run, signature: Signature, graph: GraphFacts | None) -> BatchCheck:
    """The check with generated inputs, for a signature with too few examples."""
    few = f"it has fewer than {_ROWS} different examples, and"
    try:
        check = _check_generated(run, signature, graph)
    except Exception as error:  # of any kind: the examples ran, so the generated inputs are to blame
        return BatchCheck(signature.name, None, f"{few} generated inputs fail: {first_line(error)}")
    if check.inputs is None:
        return replace(check, obstacle=f"{few} no generated inputs fit: {check.obstacle}")
    return check


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


def _generated_rows(signature: Signature, graph: GraphFacts | None) -> Iterator[list[Tensors]]:
    for inputs in example_inputs(signature, _ROWS, graph):
        yield [{name: array[[row]] for name, array in inputs.items()} for row in range(_ROWS)]


def _different(examples: Sequence[Tensors]) -> list[Tensors]:
    """Up to three examples that have the shapes of the first one, and are not equal."""
    found = [examples[0]]
    for each in examples[1:]:
        alike = _shapes(each) == _shapes(found[0])
        if alike and not any(_equal(each, other) for other in found):
            found.append(each)
            if len(found) == _ROWS:
                break
    return found


def _equal(one: Tensors, other: Tensors) -> bool:
    return all(np.array_equal(array, other[name]) for name, array in one.items())


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
