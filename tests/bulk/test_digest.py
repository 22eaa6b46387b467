from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.tensor_models import write_arithmetic
from tfleet.bulk.digest import model_digest
from tfleet.worker.model.find import find_model

pytestmark = pytest.mark.process  # TensorFlow writes the model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = write_arithmetic(tmp_path / "m" / "1")
    (folder / "post.py").write_text("def post(outputs): return outputs\n")
    (folder / "model.toml").write_text('[output]\nfunction = "post.py:post"\n')
    return folder


def test_another_function_is_another_model(model: Path) -> None:
    before = model_digest(find_model(model))
    (model / "post.py").write_text("def post(outputs): return {}\n")
    assert model_digest(find_model(model)) != before


def test_what_python_leaves_behind_is_no_part_of_a_model(model: Path) -> None:
    before = model_digest(find_model(model))
    (model / "__pycache__").mkdir()
    (model / "__pycache__" / "post.cpython-311.pyc").write_bytes(b"compiled")
    assert model_digest(find_model(model)) == before


def test_a_model_is_the_same_elsewhere(model: Path, tmp_path: Path) -> None:
    before = model_digest(find_model(model))
    assert model_digest(find_model(model.rename(tmp_path / "moved"))) == before
