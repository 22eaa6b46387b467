"""A function that comes with a model makes its answers, where its author is trusted."""

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from tests.support.graphs import write_model
from tests.support.tensor_models import write_arithmetic
from tfleet.worker.inference.load import before_tensorflow
from tfleet.worker.inference.loaded_model import LoadedModel
from tfleet.worker.inference.open_model import load_model
from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.find import find_model

pytestmark = pytest.mark.process

_CODE = "def make(outputs):\n    return {'twice': outputs['sum'] * 2}\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_arithmetic(tmp_path_factory.mktemp("m") / "sums" / "1")
    (folder / "model.toml").write_text('[output]\nfunction = "answer.py:make"\n')
    return folder


def _load(folder: Path, code: str) -> LoadedModel:
    (folder / "answer.py").write_text(code)
    return load_model(find_model(folder, trust=True), cpus=1)


def test_the_function_makes_the_answer(folder: Path) -> None:
    with closing(_load(folder, _CODE)) as model:
        model.warm_up((1, 2))
        ones = np.ones(2, np.float32)
        outputs = model.predictor("serving_default", {"a": ones, "b": ones}, rows=2).outputs
        assert {name: array.tolist() for name, array in outputs.items()} == {"twice": [4, 4]}
        scalar = np.ones((), np.float32)
        assert list(model.predictor("scalar", {"x": scalar}, rows=None).outputs) == ["y"]


def test_code_of_a_model_needs_trust(folder: Path) -> None:
    (folder / "answer.py").write_text("raise SystemExit")
    with pytest.raises(ModelError, match="runs Python code that comes with the model: give --trust"):
        before_tensorflow(find_model(folder), None)


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("", "answer.py: make cannot be loaded: AttributeError"),
        (
            "import nothing_there",
            "make cannot be loaded: ModuleNotFoundError: No module named 'nothing_there'",
        ),
        ("def make(outputs):\n    return outputs['x']\n", "output.function fails: KeyError: 'x'"),
        ("def make(outputs):\n    return 1\n", "output.function returned int, and no dict of arrays"),
    ],
)
def test_a_function_that_fails_is_told_at_the_start(folder: Path, code: str, problem: str) -> None:
    with pytest.raises(ModelError, match=problem):
        with closing(_load(folder, code)) as model:
            model.warm_up((1,))


def test_an_image_model_has_no_function(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m" / "1")
    with (folder / "model.toml").open("a") as file:
        file.write('function = "answer.py:make"\n')
    with pytest.raises(ModelError, match=r"output.function is for models that take no images"):
        _load(folder, _CODE)
