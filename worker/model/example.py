"""A command line that calls a model: what its signature takes, with made-up values. No TensorFlow."""

from __future__ import annotations

import json
import math
import shlex
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tfleet.worker.model.signature import Signature, TensorInfo

DEFAULT_ADDRESS: Final = "localhost:12480"
_SOME: Final = 3  # the size of a dimension that may have any
_MAX_SHOWN: Final = 64  # values; more of them are written to a file
_VALUES: Final = (("float", 0.5), ("bfloat", 0.5), ("complex", 0.5), ("bool", True), ("string", "some text"))


def has_rows(signature: Signature) -> bool:
    """Whether one request may have several rows.

    It may if dimension 0 of every input that must be given has any size.
    """
    shapes = [info.shape for info in signature.inputs if not info.optional]
    return bool(shapes) and all(shape is not None and len(shape) > 0 and shape[0] is None for shape in shapes)


def example_inputs(signature: Signature, columns: Sequence[str] = ()) -> dict[str, Any]:
    """One row by the names of inputs or columns, or all inputs where the signature has no rows."""
    rows = has_rows(signature)
    given = [info for info in signature.inputs if not info.optional]
    if columns and len(given) == 1:
        return dict.fromkeys(columns, _value(given[0].dtype))
    return {info.name: _nested(_value(info.dtype), _dims(info, rows)) for info in given}


def curl_line(
    signature: Signature,
    *,
    image: bool = False,
    columns: Sequence[str] = (),
    default: bool = True,
    address: str = DEFAULT_ADDRESS,
) -> str:
    """A line for a shell that asks a worker or proxy at `address` for one prediction.

    `image`: it takes a photograph. `default`: the signature need not be named. What is too long for a line is
    written to row.npz by a line of Python before.
    """
    if image:
        return f"curl -F data=@photo.jpg {address}"
    url = f"{address}/predict" + ("" if default else f"?signature={signature.name}")
    rows = has_rows(signature)
    sizes = [math.prod(_dims(info, rows)) for info in signature.inputs if not info.optional]
    if sum(sizes) <= _MAX_SHOWN:
        body = json.dumps(example_inputs(signature, columns))
        return f"curl -H 'Content-Type: application/json' -d {shlex.quote(body)} {shlex.quote(url)}"
    arrays = ", ".join(_full(info, rows) for info in signature.inputs if not info.optional)
    program = f'import numpy as np; np.savez("row.npz", **{{{arrays}}})'
    return (
        f"python3 -c {shlex.quote(program)} && "
        f"curl -H 'Content-Type: application/x-npz' --data-binary @row.npz {shlex.quote(url)}"
    )


def _full(info: TensorInfo, rows: bool) -> str:
    """An entry of a dictionary in Python: the input's name, and an array for it."""
    shape = _dims(info, rows)
    dims = str((1, *shape) if rows else shape)
    # Without a type a text keeps its length; "str" would cut it to one character.
    dtype = "" if info.dtype == "string" else f", {json.dumps(_numpy(info.dtype))}"
    return f"{json.dumps(info.name)}: np.full({dims}, {_python(info.dtype)}{dtype})"


def _python(dtype: str) -> str:
    """The value as Python writes it; texts in double quotes, since the shell has the single ones."""
    value = _value(dtype)
    return json.dumps(value) if isinstance(value, str) else repr(value)


def _dims(info: TensorInfo, rows: bool) -> tuple[int, ...]:
    """The shape of what is sent of an input. A column of one value in each row is sent as that value."""
    shape = info.shape or ()
    dims = tuple(_SOME if size is None else size for size in (shape[1:] if rows else shape))
    return () if rows and dims == (1,) else dims


def _nested(value: Any, dims: tuple[int, ...]) -> Any:
    for size in reversed(dims):
        value = [value] * size
    return value


def _value(dtype: str) -> Any:
    return next((value for prefix, value in _VALUES if dtype.startswith(prefix)), 1)


def _numpy(dtype: str) -> str:
    """The dtype for NumPy, which has no bfloat16 of its own."""
    return "float32" if dtype == "bfloat16" else dtype
