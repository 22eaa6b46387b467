"""Models that others have made give the answers that are known of them. They are not in this repository."""

import base64
import json
import os
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfleet.worker.inference.model_session import ModelSession
from tfleet.worker.inference.open_model import load_model
from tfleet.worker.model.find import find_model

FOLDER = Path(os.environ.get("TFLEET_TEST_MODELS", Path(__file__).parents[4] / "shared" / "models"))

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(not FOLDER.is_dir(), reason="needs the folder of models beside the repository"),
]


def _golden() -> list[Path]:
    return [path for path in sorted((FOLDER / "golden").glob("t*.json")) if "golden" not in path.name]


def _model(name: str) -> Path:
    file = FOLDER / f"{name}.pb"
    return file if file.exists() else min((FOLDER / name).iterdir())


def _array(value: Any) -> Any:
    if "b64" in value:
        return np.array([base64.b64decode(each) for each in value["b64"]], object)
    return np.array(value["data"], value["dtype"]).reshape(value["shape"])


@pytest.mark.parametrize("path", _golden(), ids=lambda path: path.stem)
def test_known_answers_are_given(path: Path) -> None:
    golden = json.loads(path.read_text())
    spec = find_model(_model(path.stem.split("@")[0]))
    with closing(ModelSession.load(spec, cpus=1)) as session:
        signature = session.signature(golden["signature"] or None)
        inputs = {name.removesuffix(":0"): _array(each) for name, each in golden["inputs"].items()}
        outputs = session.run(signature.name, inputs)
    for name, expected in golden["outputs"].items():
        np.testing.assert_allclose(outputs[name.removesuffix(":0")], _array(expected), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "kind"), [("tfs_half_plus_two_cpu", "table"), ("t2o_lstm", "tensors")])
def test_their_kinds_are_found_out(name: str, kind: str) -> None:
    with closing(load_model(find_model(_model(name)), cpus=1)) as model:
        assert model.facts.kind.value == kind
        assert model.warm_up((1, 2)) > 0
