"""The golden answers of the models beside the repository, from TensorFlow's and Keras' own runs."""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import numpy as np

from tests.models.answers import Golden
from tests.models.bodies import Tensors


def read_shared(file: Path) -> Golden:
    """One that has all numbers."""
    document = json.loads(file.read_text())
    signature = document.get("signature") or "serving_default"
    return Golden(signature, _arrays(document["inputs"]), _arrays(document["outputs"]))


def read_drawn(file: Path, outputs: Tensors) -> Golden:
    """One that has only the first numbers of large arrays. A generator drew the inputs. `outputs` are what
    the model was found to answer; they have to begin as the file says, and to have the same mean.
    """
    document = json.loads(file.read_text())
    for name, tensor in document["outputs"].items():
        found = outputs[name]
        assert list(found.shape) == tensor["shape"], name
        _check_close(found.reshape(-1)[: len(tensor["first"])], tensor["first"], name)
        _check_close(found.mean(dtype=np.float64), tensor["mean"], name)
    assert outputs.keys() == document["outputs"].keys()
    return Golden(document["signature"], drawn_inputs(file), outputs)


def drawn_inputs(file: Path) -> dict[str, Any]:
    """Drawn anew; the file says how they begin."""
    inputs = {}
    for name, tensor in json.loads(file.read_text())["inputs"].items():
        drawn = np.random.default_rng(7).random(tensor["shape"])
        _check_close(drawn.reshape(-1)[: len(tensor["first"])], tensor["first"], name)
        inputs[name] = drawn.astype(tensor["dtype"])
    return inputs


def _check_close(found: Any, expected: Any, name: str) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5, err_msg=name)


def _arrays(tensors: dict[str, Any]) -> dict[str, Any]:
    return {name.partition(":")[0]: _array(tensor) for name, tensor in tensors.items()}


def _array(tensor: dict[str, Any]) -> Any:
    if "b64" in tensor:
        return np.array([b64decode(item) for item in tensor["b64"]], object)
    if tensor["dtype"] == "object":
        return np.array([item.encode() for item in tensor["data"]], object).reshape(tensor["shape"])
    return np.array(tensor["data"], tensor["dtype"]).reshape(tensor["shape"])
