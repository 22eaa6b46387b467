"""The body of `:predict`: rows in `instances`, or complete tensors in `inputs`.

- `{"instances": [1.0, 2.0]}` has one value for each row; the signature has one input. The values become a
  tensor of the rows' shape with a dimension for the rows in front.
- `{"instances": [{"a": 1, "b": [2, 3]}, ...]}` has an object for each row, with all inputs of the signature.
- `{"inputs": [[1.0], [2.0]]}` is the tensor of the one input, and `{"inputs": {"a": [...], "b": [...]}}` has
  a tensor for each input. Other names in that object are ignored.

As in TensorFlow Serving, shapes are not compared with the signature here: some models take others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from tfleet.worker.api.protocols.decoded import Array
from tfleet.worker.api.protocols.dtypes import from_scalars, numpy_dtype
from tfleet.worker.api.protocols.json_rows import colons_in, colons_of, picked
from tfleet.worker.api.protocols.limits import InputLimits
from tfleet.worker.api.protocols.nested import MAX_DEPTH, depth_of, flatten, position
from tfleet.worker.api.protocols.problems import (
    CellError,
    bad_input,
    names_text,
    place,
    quoted,
    shown,
)
from tfleet.worker.api.protocols.tfs.document import TfsDocument, is_named, read_document
from tfleet.worker.model.signature import Signature, TensorInfo

INSTANCES: Final = "instances"
INPUTS: Final = "inputs"
_EXAMPLE: Final = f'{{"{INSTANCES}": [...]}} with rows, or {{"{INPUTS}": ...}} with tensors'


@dataclass(frozen=True, slots=True)
class TfsInputs:
    """The inputs of a signature by name.

    The input that takes images has their bytes where images were sent, in an array of objects. `by_row`: they
    came as rows, and the answer has rows as well. `rows` is the size of dimension 0 of all inputs, None where
    they do not have the same.
    """

    inputs: dict[str, Array]
    by_row: bool
    rows: int | None


def read_predict(body: bytes, limits: InputLimits) -> TfsDocument:
    """The document of a request. Raises ProblemError (400, 413)."""
    document = read_document(body, _EXAMPLE, limits)
    there = [key for key in (INSTANCES, INPUTS) if key in document.members]
    if len(there) != 1:
        has = f"{INSTANCES!r} and {INPUTS!r}" if there else f"neither {INSTANCES!r} nor {INPUTS!r}"
        raise bad_input(f"the JSON document has {has}, and exactly one of them is wanted: send {_EXAMPLE}")
    return document


def decode_predict(
    document: TfsDocument, signature: Signature, limits: InputLimits, image_input: str | None = None
) -> TfsInputs:
    """The inputs for a signature; `image_input` takes images. Raises ProblemError (400, 413)."""
    if not signature.inputs:
        raise bad_input(
            f"the signature {quoted(signature.name)} has no inputs, and requests of this form give inputs: "
            "send {} to /models/NAME/predict"
        )
    reader = _TensorReader(signature, limits, image_input, document.colons)
    by_row = INSTANCES in document.members
    inputs = reader.rows(document.members[INSTANCES]) if by_row else reader.tensors(document.members[INPUTS])
    document.document.check_keys(reader.colons)
    limits.check_together(sum(array.nbytes for array in inputs.values()))
    sizes = {array.shape[:1] for array in inputs.values()}
    rows = next(iter(sizes)) if len(sizes) == 1 else ()
    return TfsInputs(inputs, by_row, rows[0] if rows else None)


class _TensorReader:
    """Reads the values of a document. `colons` counts those that were seen, see check_keys()."""

    def __init__(
        self, signature: Signature, limits: InputLimits, image_input: str | None, colons: int
    ) -> None:
        self._signature = signature
        self._limits = limits
        self._image_input = image_input
        self.colons = colons

    def rows(self, rows: Any) -> dict[str, Array]:
        """The value of `instances`."""
        if not isinstance(rows, list) or not rows:
            raise bad_input(f"{INSTANCES!r} must be a list with at least one row, and it is {_empty(rows)}")
        self._limits.check_rows(len(rows))
        if not is_named(rows[0]):
            only = self._only(f"{INSTANCES!r} has plain values: send each row as an object with")
            if dict in set(map(type, rows)):
                _check_unnamed(rows)
            return {only.name: self._tensor(rows, only, by_row=True)}
        names = tuple(
            info.name for info in self._signature.inputs if not info.optional or info.name in rows[0]
        )
        values = picked(rows, names)
        self.colons += len(rows) * colons_of(names)
        if len(self._signature.inputs) > 1:
            self._check_scalars(names)
        columns = zip(names, zip(*values, strict=True), strict=True)
        return {name: self._tensor(list(column), self._info(name), by_row=True) for name, column in columns}

    def tensors(self, value: Any) -> dict[str, Array]:
        """The value of `inputs`."""
        if not is_named(value):
            only = self._only(f"{INPUTS!r} is a plain value: send an object with")
            return {only.name: self._tensor(value, only, by_row=False)}
        self.colons += colons_of(value)
        missing = [
            info.name for info in self._signature.inputs if not info.optional and info.name not in value
        ]
        if missing:
            raise bad_input(f"{INPUTS!r} lacks {names_text(missing)}: the model's inputs are {self._names()}")
        return {
            info.name: self._tensor(value[info.name], info, by_row=False)
            for info in self._signature.inputs
            if info.name in value
        }

    def _only(self, otherwise: str) -> TensorInfo:
        """The input that takes a value without a name. Raises ProblemError that begins with `otherwise`."""
        wanted = [info for info in self._signature.inputs if not info.optional] or self._signature.inputs
        if len(wanted) != 1:
            raise bad_input(f"{otherwise} {self._names()}")
        return wanted[0]

    def _info(self, name: str) -> TensorInfo:
        info = self._signature.input(name)
        assert info is not None, "the names are those of the signature"
        return info

    def _names(self) -> str:
        return names_text(info.name for info in self._signature.inputs)

    def _check_scalars(self, names: Sequence[str]) -> None:
        """Raise ProblemError for an input that is one value, and would become one value for each row.

        TensorFlow takes a vector for true where a condition is wanted, whatever its values.
        """
        for name in names:
            if self._info(name).shape == ():
                raise bad_input(
                    f"input {quoted(name)} is one value for the request, and rows have one for each row: "
                    f'send {{"{INPUTS}": {{"{name}": VALUE, ...}}}} with a list for each input that has rows'
                )

    def _tensor(self, value: Any, info: TensorInfo, *, by_row: bool) -> Array:
        """A tensor from nested lists; `by_row`: these are the values of rows, which messages name."""
        if info.name == self._image_input:
            _check_images(value, info.name)
        depth = depth_of(value)
        if depth > MAX_DEPTH:
            raise bad_input(f"{place(info.name)}: the value is more than {MAX_DEPTH} lists deep")
        # The one tensor is read as if it were the one row of a list.
        within = value if by_row else [value]
        flat, shape = flatten(within, (None,) * (depth - by_row), info.name, one=not by_row)
        if info.name == self._image_input and _all_b64(flat):
            info = replace(info, dtype="string")
        found = self._converted(flat, shape, info, by_row).reshape(shape if by_row else shape[1:])
        if info.dtype == "string" or _has_objects(flat):
            self.colons += colons_in(flat)
        return found

    def _converted(self, flat: list[Any], shape: tuple[int, ...], info: TensorInfo, by_row: bool) -> Array:
        self._limits.check_tensor(shape, numpy_dtype(info).itemsize)
        if info.dtype == "string":
            self._limits.check_strings(len(flat))
        try:
            return from_scalars(flat, info, overflow=True, padded=False)
        except CellError as error:
            where = position(error.index, shape, info.name, one=not by_row)
            raise bad_input(f"{where}: {error}; the model's input is {info}") from error


def _check_unnamed(rows: list[Any]) -> None:
    named = next((index for index, row in enumerate(rows) if is_named(row)), None)
    if named is not None:
        raise bad_input(f"row {named} (the first is 0) is an object, and row 0 is not")


def _check_images(value: Any, name: str) -> None:
    """Raise ProblemError (400) for a list in which some elements are images, and others are not."""
    if not isinstance(value, list) or not value:
        return
    first = _is_image(value[0])
    other = next((index for index, row in enumerate(value) if _is_image(row) != first), None)
    if other is not None:
        is_none, is_one = (other, 0) if first else (0, other)
        raise bad_input(
            f"{place(name, is_none)} is no image, and row {is_one} is one: all rows of a request are images, "
            "or none is"
        )


def _is_image(row: Any) -> bool:
    """Whether a row is bytes in base64, or a list that begins with them."""
    while isinstance(row, list) and row:
        row = row[0]
    return isinstance(row, dict) and not is_named(row)


def _all_b64(flat: list[Any]) -> bool:
    return bool(flat) and all(isinstance(value, dict) and not is_named(value) for value in flat)


def _has_objects(flat: list[Any]) -> bool:
    return bool(flat) and isinstance(flat[0], dict)


def _empty(value: Any) -> str:
    return "an empty list" if value == [] else shown(value)
