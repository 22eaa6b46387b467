"""A command line that calls a model: what its signature takes, with made-up values. No TensorFlow."""

from __future__ import annotations

import base64
import json
import shlex
from typing import TYPE_CHECKING, Any, Final

from tfleet.contract.example_values import (
    MOST_SHOWN,
    example_row,
    sample,
    sent_dims,
    shown_values,
    takes_rows,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tfleet.worker.model.signature import Signature, TensorInfo

DEFAULT_ADDRESS: Final = "localhost:12480"


def example_inputs(signature: Signature, columns: Sequence[str] = ()) -> dict[str, Any]:
    """One row by the names of inputs or columns, or all inputs where the signature has no rows."""
    return example_row(signature.inputs, columns)


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
    rows = takes_rows(signature.inputs)
    if shown_values(signature.inputs) <= MOST_SHOWN:
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
    shape = sent_dims(info, rows=rows)
    dims = str((1, *shape) if rows else shape)
    # Without a type a text keeps its length; "str" would cut it to one character.
    dtype = "" if info.dtype == "string" else f", {json.dumps(_numpy(info.dtype))}"
    return f"{json.dumps(info.name)}: np.full({dims}, {_python(info)}{dtype})"


def _python(info: TensorInfo) -> str:
    """The value as Python writes it; texts in double quotes, since the shell has the single ones."""
    if info.tf_example is not None:
        return repr(base64.b64decode(info.tf_example.b64))
    value = sample(info.dtype)
    return json.dumps(value) if isinstance(value, str) else repr(value)


def _numpy(dtype: str) -> str:
    """The dtype for NumPy, which has no bfloat16 of its own."""
    return "float32" if dtype == "bfloat16" else dtype
