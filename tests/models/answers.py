"""What a model should answer, and an answer's body as arrays."""

from __future__ import annotations

import csv
import io
import json
from base64 import b64decode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tests.models.bodies import ARROW, CSV, JSON, NPY, NPZ, Tensors


@dataclass(frozen=True, slots=True)
class Golden:
    """Inputs of one signature, and what they should give."""

    signature: str
    inputs: Tensors
    outputs: Tensors


def read_golden(path: Path) -> Golden:
    """From a file that `tests/support/golden_models.py` wrote."""
    with np.load(path, allow_pickle=True) as arrays:
        inputs = {key[3:]: arrays[key] for key in arrays if key.startswith("in:")}
        outputs = {key[4:]: arrays[key] for key in arrays if key.startswith("out:")}
    return Golden(path.stem.partition("@")[2], inputs, outputs)


def answer_types(golden: Golden, *, rows: bool) -> tuple[str, ...]:
    """The forms beside JSON that can hold the outputs."""
    outputs = golden.outputs.values()
    types = [ARROW] if rows else []
    if rows and all(np.ndim(array) <= 2 for array in outputs):
        types.append(CSV)
    if all(array.dtype.kind != "O" for array in outputs):
        types += [NPZ, NPY] if len(outputs) == 1 else [NPZ]
    return tuple(types)


def one_row(outputs: Tensors, number: int) -> dict[str, Any]:
    """The outputs of one row, without the dimension for rows."""
    return {name: array[number] for name, array in outputs.items()}


def check(found: Tensors, expected: Tensors, where: str) -> None:
    """Fail unless these are the expected outputs: floats within 1e-4, all else exactly.

    The one output of a model that Keras exports is called output_0, whatever its layer is called.
    """
    if len(expected) == 1 and found.keys() == {"output_0"}:
        expected = {"output_0": next(iter(expected.values()))}
    assert found.keys() == expected.keys(), where
    for name, array in expected.items():
        own, wanted = np.asarray(found[name]), np.asarray(array)
        assert own.shape == wanted.shape, f"{where}: {name}"
        if wanted.dtype.kind == "f":
            both = own.astype(np.float64), wanted.astype(np.float64)
            np.testing.assert_allclose(*both, rtol=1e-4, atol=1e-5, err_msg=f"{where}: {name}")
        else:
            assert own.tolist() == wanted.tolist(), f"{where}: {name}"


def read_answer(body: bytes, media_type: str, expected: Tensors) -> dict[str, Any]:
    """The outputs in an answer's body. Strings become bytes, as the model has them."""
    if media_type == JSON:
        document = json.loads(body)
        assert document.keys() == {"success", "outputs"}
        assert document["success"] is True
        return {name: as_array(value) for name, value in document["outputs"].items()}
    if media_type == ARROW:
        table = pa.ipc.open_stream(body).read_all()
        return {name: as_array(table[name].to_pylist()) for name in table.column_names}
    if media_type == CSV:
        return _columns(list(csv.reader(io.StringIO(body.decode()))), expected)
    if media_type == NPZ:
        with np.load(io.BytesIO(body)) as arrays:
            return dict(arrays)
    assert media_type == NPY
    (name,) = expected
    return {name: np.load(io.BytesIO(body))}


def _columns(lines: list[list[str]], expected: Tensors) -> dict[str, Any]:
    """Outputs of lines under a header. An output p with several values in a row has columns p[0], p[1], ...;
    with one value, in a list or not, it has a column p.
    """
    header, *rows = lines
    columns: dict[str, list[list[Any]]] = {}
    for heading, column in zip(header, zip(*rows, strict=True), strict=True):
        name = heading.partition("[")[0]
        text = name in expected and expected[name].dtype.kind == "O"
        columns.setdefault(name, []).append([cell.encode() if text else json.loads(cell) for cell in column])
    found = {
        name: as_array([list(row) for row in zip(*parts, strict=True)]) for name, parts in columns.items()
    }
    flat = {name for name in header if np.ndim(expected.get(name, [[]])) == 1}
    return {name: array[:, 0] if name in flat else array for name, array in found.items()}


def as_array(value: Any) -> Any:
    """An array of a value of JSON or Arrow. NumPy's own strings would lose zero bytes at the end."""
    value = _with_bytes(value)
    leaf = value
    while isinstance(leaf, list) and leaf:
        leaf = leaf[0]
    return np.array(value, object) if isinstance(leaf, bytes) else np.array(value)


def _with_bytes(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_bytes(item) for item in value]
    if isinstance(value, dict):
        return b64decode(value["b64"])
    return value.encode() if isinstance(value, str) else value
