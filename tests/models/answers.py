"""What a model should answer, and an answer's body as arrays."""

from __future__ import annotations

import io
import json
from base64 import b64decode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tests.models.bodies import ARROW, JSON, NPY, NPZ, Tensors


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
        return {name: _array(value) for name, value in document["outputs"].items()}
    if media_type == ARROW:
        table = pa.ipc.open_stream(body).read_all()
        return {name: _array(table[name].to_pylist()) for name in table.column_names}
    if media_type == NPZ:
        with np.load(io.BytesIO(body)) as arrays:
            return dict(arrays)
    assert media_type == NPY
    (name,) = expected
    return {name: np.load(io.BytesIO(body))}


def _array(value: Any) -> Any:
    """An array of the lists of JSON or Arrow. NumPy's own strings would lose zero bytes at the end."""
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
