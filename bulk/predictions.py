"""What a model answers as columns of Arrow: the best label of each row, or the model's own outputs.

An output of shape [?, 1] is a column of plain values, as an input of this shape is. Other dimensions become
lists, of fixed size where the signature says so. Strings are binary: nothing says that they are text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tfleet.bulk.errors import CannotScoreError, RunFailedError
from tfleet.worker.model.dtypes import numpy_dtype
from tfleet.worker.model.signature import shape_text

if TYPE_CHECKING:
    from tfleet.client.results import Prediction
    from tfleet.worker.inference.class_scores import ClassScores
    from tfleet.worker.model.signature import Signature, TensorInfo

_BFLOAT16: Final = np.dtype(ml_dtypes.bfloat16)


class PredictionColumns(Protocol):
    """The columns of what a model answers, and which of them to count."""

    @property
    def schema(self) -> pa.Schema:
        """The columns."""

    @property
    def label(self) -> str | None:
        """The column with the best label."""

    @property
    def probability(self) -> str | None:
        """The column with the probability of the best label."""


class OutputColumns(PredictionColumns, Protocol):
    """The same of outputs as a session gives them."""

    def columns(self, outputs: Mapping[str, npt.NDArray[Any]], rows: int) -> list[pa.Array]:
        """The columns for so many rows. Raises RunFailedError for outputs that have other rows."""


def label_schema(top: int, *, probabilities: bool) -> pa.Schema:
    """The columns of the best label, or of the `top` best ones."""
    if top == 1:
        return pa.schema(
            [("label", pa.string()), ("probability" if probabilities else "score", pa.float32())]
        )
    numbers = "probabilities" if probabilities else "scores"
    return pa.schema([("labels", pa.list_(pa.string())), (numbers, pa.list_(pa.float32()))])


@dataclass(frozen=True, slots=True)
class LabelPredictions:
    """The best label of each row and its probability, or its score; the `top` best ones as lists.

    Labels below the model's threshold are left out: null, or a shorter list.
    """

    scores: ClassScores = field(repr=False)
    top: int = 1

    @property
    def schema(self) -> pa.Schema:
        return label_schema(self.top, probabilities=self.scores.probabilities)

    @property
    def label(self) -> str | None:
        return "label" if self.top == 1 else "labels"

    @property
    def probability(self) -> str | None:
        if not self.scores.probabilities:
            return None
        return "probability" if self.top == 1 else "probabilities"

    def columns(self, outputs: Mapping[str, npt.NDArray[Any]], rows: int) -> list[pa.Array]:
        (output,) = outputs.values()
        _check_rows("the output", output, rows)
        return self.of_scores(self.scores(output))

    def of_scores(self, numbers: npt.NDArray[np.float32]) -> list[pa.Array]:
        """The columns of rows of scores, one number for each label."""
        best = np.argsort(-numbers, axis=1, kind="stable")[:, : self.top]
        values = np.take_along_axis(numbers, best, axis=1)
        lowest = self.scores.threshold
        left_out = np.zeros(values.shape, np.bool_) if lowest is None else values < lowest
        labels = pa.DictionaryArray.from_arrays(
            pa.array(best.ravel(), mask=left_out.ravel()), pa.array(self.scores.labels, pa.string())
        ).cast(pa.string())
        probabilities = pa.array(values.ravel(), pa.float32(), mask=left_out.ravel())
        if self.top == 1:
            return [labels, probabilities]
        # The best come first, so what is left out of a list is its end.
        ends = np.concatenate([[0], np.cumsum((~left_out).sum(axis=1))]).astype(np.int32)
        return [pa.ListArray.from_arrays(ends, each.drop_null()) for each in (labels, probabilities)]


@dataclass(frozen=True, slots=True)
class FleetLabelPredictions:
    """The same, of labels that a fleet has chosen."""

    probabilities: bool
    top: int = 1

    @property
    def schema(self) -> pa.Schema:
        return label_schema(self.top, probabilities=self.probabilities)

    @property
    def label(self) -> str | None:
        return "label" if self.top == 1 else "labels"

    @property
    def probability(self) -> str | None:
        name = "probability" if self.top == 1 else "probabilities"
        return name if self.probabilities else None

    def of_answers(self, answers: Sequence[Sequence[Prediction]], rows: int) -> list[pa.Array]:
        """The columns of the labels of each row, best first. Raises RunFailedError for other rows."""
        if len(answers) != rows:
            raise RunFailedError(f"the fleet has answered {len(answers)} rows, and {rows} were sent")
        found = (each.probability is not None for row in answers for each in row)
        if any(each != self.probabilities for each in found):
            kind = "no probabilities" if self.probabilities else "probabilities"
            raise RunFailedError(f"the fleet's answer has {kind}, and another one had not: is it one model?")
        labels = [[each.label for each in row] for row in answers]
        values = [[each.value for each in row] for row in answers]
        if self.top == 1:
            labels, values = ([row[0] if row else None for row in each] for each in (labels, values))  # type: ignore[assignment] # now plain
        return [
            pa.array(column, field.type) for column, field in zip((labels, values), self.schema, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class OutputPredictions:
    """The model's own outputs, one column for each."""

    schema: pa.Schema
    label: str | None = None
    probability: str | None = None

    def columns(self, outputs: Mapping[str, npt.NDArray[Any]], rows: int) -> list[pa.Array]:
        return [_array(each.name, outputs[each.name], each.type, rows) for each in self.schema]


def output_schema(signature: Signature) -> pa.Schema:
    """The columns of a signature's outputs. Raises CannotScoreError for one without rows."""
    return pa.schema([(info.name, _type(info)) for info in signature.outputs])


def schema_of(outputs: Mapping[str, npt.NDArray[Any]]) -> pa.Schema:
    """The columns of such outputs, of which nothing else is known."""
    return pa.schema(
        [(name, _nested(_leaf(name, array.dtype), array.shape[1:])) for name, array in outputs.items()]
    )


def _type(info: TensorInfo) -> pa.DataType:
    dtype = numpy_dtype(info.dtype)
    if dtype is None:
        raise CannotScoreError(f"output {info.name!r} is {info.dtype}, which no file can hold")
    if not info.shape or info.shape[0] is not None:
        raise CannotScoreError(
            f"output {info.name!r} has the shape {shape_text(info.shape)}, and not a value for each row: "
            "choose another signature with --signature"
        )
    return _nested(_leaf(info.name, dtype), info.shape[1:])


def _nested(leaf: pa.DataType, dims: Sequence[int | None]) -> pa.DataType:
    if tuple(dims) == (1,):
        return leaf
    for size in reversed(dims):
        leaf = pa.list_(leaf) if size is None else pa.list_(leaf, size)
    return leaf


def _leaf(name: str, dtype: np.dtype[Any]) -> pa.DataType:
    if dtype.kind == "c":
        raise CannotScoreError(f"output {name!r} is complex, which Parquet has not")
    if dtype.kind == "O":
        return pa.binary()
    return pa.float32() if dtype == _BFLOAT16 else pa.from_numpy_dtype(dtype)


def _array(name: str, array: npt.NDArray[Any], kind: pa.DataType, rows: int) -> pa.Array:
    _check_rows(f"output {name!r}", array, rows)
    if array.dtype == _BFLOAT16:
        array = array.astype(np.float32)
    flat = np.ascontiguousarray(array).reshape(-1)
    column = pa.array(flat, pa.binary()) if array.dtype.kind == "O" else pa.array(flat)
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        column = _lists(column, array.shape, kind)
    return column


def _lists(column: pa.Array, shape: Sequence[int], kind: pa.DataType) -> pa.Array:
    kinds = []
    while pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        kinds.append(kind)
        kind = kind.value_type
    for depth in range(len(kinds), 0, -1):
        if pa.types.is_fixed_size_list(kinds[depth - 1]):
            column = pa.FixedSizeListArray.from_arrays(column, shape[depth])
        else:
            count = int(np.prod(shape[:depth]))
            ends = np.arange(count + 1, dtype=np.int32) * shape[depth]
            column = pa.ListArray.from_arrays(ends, column)
    return column


def _check_rows(what: str, array: npt.NDArray[Any], rows: int) -> None:
    if array.ndim == 0 or len(array) != rows:
        raise RunFailedError(
            f"{what} has the shape {list(array.shape)} for {rows} rows: the model does not answer row by row"
        )
