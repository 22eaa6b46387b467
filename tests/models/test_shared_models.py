"""Models that others made, kept beside the repository: golden answers from TensorFlow's and Keras' own runs.

Without that folder, as in a clone, these tests are skipped.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from base64 import b64decode
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.models.answers import Golden
from tests.models.asked import check_all_forms, loaded
from tfleet.worker.model.errors import ModelError

SHARED = Path(__file__).parents[3] / "shared" / "models"
GOLDEN = SHARED / "golden"
# Image models that do not say how they want their pixels.
SCALED_OUTSIDE = {"mnist_cnn", "logits", "sigmoid1", "gray28"}

pytestmark = [
    pytest.mark.process,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not GOLDEN.is_dir(), reason=f"{SHARED} is not there"),
]


def _read(file: Path) -> Golden:
    document = json.loads(file.read_text())
    signature = document.get("signature") or "serving_default"
    return Golden(signature, _arrays(document["inputs"]), _arrays(document["outputs"]))


def _arrays(tensors: dict[str, Any]) -> dict[str, Any]:
    return {name.partition(":")[0]: _array(tensor) for name, tensor in tensors.items()}


def _array(tensor: dict[str, Any]) -> Any:
    if "b64" in tensor:
        return np.array([b64decode(item) for item in tensor["b64"]], object)
    if tensor["dtype"] == "object":
        return np.array([item.encode() for item in tensor["data"]], object).reshape(tensor["shape"])
    assert "data" in tensor
    return np.array(tensor["data"], tensor["dtype"]).reshape(tensor["shape"])


@pytest.mark.parametrize("file", sorted(GOLDEN.glob("tfs_*.json")), ids=lambda file: file.stem)
def test_the_models_of_tensorflow_serving_answer(file: Path) -> None:
    with loaded(SHARED / file.stem.partition("@")[0]) as model:
        check_all_forms(model, _read(file))


def test_a_frozen_lstm_answers() -> None:
    with loaded(SHARED / "t2o_lstm.pb") as model:
        check_all_forms(model, _read(GOLDEN / "t2o_lstm.json"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the folder's own program makes: models, and Keras' answers."""
    folder = tmp_path_factory.mktemp("made")
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    program = (sys.executable, str(SHARED / "make_models.py"), str(folder))
    subprocess.run(program, check=True, timeout=500, env=environment, stdout=subprocess.DEVNULL)
    return folder


def test_made_models_answer(made: Path) -> None:
    """All in one test: the models are made once, and what they are called only their program knows."""
    goldens = sorted(made.glob("*.golden.json"))
    assert len(goldens) >= 12
    for file in goldens:
        name = file.name.partition(".")[0]
        scaling = {"input_mean": 0.0, "input_std": 1.0} if name in SCALED_OUTSIDE else {}
        with loaded(made / name, **scaling) as model:
            check_all_forms(model, _read(file))


def test_made_keras_files_answer(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name in ("tabular10.h5", "tabular_g1_g10.keras", "two_out.keras"):
        with loaded(made / name) as model:
            check_all_forms(model, _read(made / f"{name.partition('.')[0]}.golden.json"))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("lambda_unsafe.keras", "--trust"),
        ("lambda_unsafe.h5", "--trust"),
        ("custom_layer.keras", "twice"),
        ("weights_only.weights.h5", "weights"),
    ],
)
def test_made_models_that_cannot_be_served_are_refused(made: Path, name: str, said: str) -> None:
    with pytest.raises(ModelError, match=said) as caught, loaded(made / name):
        pass
    assert "\n" not in str(caught.value)
