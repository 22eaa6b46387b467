"""The process that converts: what it makes, how it fails, and how it ends."""

import shutil
import sys
from pathlib import Path

import pytest

from tests.worker.model.keras.test_file import write_keras
from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.keras.convert import convert
from tfleet.worker.model.keras.file import read_keras_file
from tfleet.worker.model.keras.job import ConvertJob

pytestmark = [pytest.mark.process, pytest.mark.timeout(600)]


def test_a_job_comes_through_as_it_was() -> None:
    job = ConvertJob("a", "b", ("x", "y"), ("z",), classes=(("m", "C"),), rewritten=True)
    assert ConvertJob.from_json(job.to_json()) == job


def test_a_conversion_is_compared_and_leaves_nothing_else(keras_models: Path, tmp_path: Path) -> None:
    before, stages = set(sys.modules), list[str]()
    file = read_keras_file(keras_models / "table.keras")
    conversion = convert(file, tmp_path / "out" / "table", progress=stages.append)
    assert conversion.compared
    assert stages == ["importing Keras", "reading the model", "writing the SavedModel", "comparing answers"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["table"]
    assert (tmp_path / "out" / "table" / "saved_model.pb").stat().st_size > 0
    assert "keras" not in set(sys.modules) - before, "only the child imports it"


@pytest.mark.parametrize("name", ["lambda", "custom"])
def test_trusted_code_runs(
    keras_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(keras_models), prepend=":")
    file = read_keras_file(keras_models / f"{name}.keras")
    with pytest.raises(ModelError, match="--trust"):
        convert(file, tmp_path / "out")
    assert convert(file, tmp_path / "out", trust=True).compared


def test_a_ragged_output_is_refused_by_its_name(keras_models: Path, tmp_path: Path) -> None:
    file = read_keras_file(keras_models / "ragged.keras")
    with pytest.raises(ModelError, match=r"its output 'words' is a RaggedTensor: call to_tensor\(\)"):
        convert(file, tmp_path / "out")


def test_a_class_that_is_not_installed_is_one_line(keras_models: Path, tmp_path: Path) -> None:
    file = read_keras_file(keras_models / "custom.keras")
    with pytest.raises(ModelError, match=r"the class Twice can't be imported: .*doubled_layers.*PYTHONPATH"):
        convert(file, tmp_path / "out", trust=True)


def test_a_file_that_describes_a_huge_model_is_refused(tmp_path: Path) -> None:
    row = {"class_name": "InputLayer", "config": {"name": "x", "batch_shape": [None, 1_000_000]}}
    huge = {"class_name": "Dense", "config": {"name": "y", "units": 1_000_000}}
    module = {"module": "keras.layers", "registered_name": None}
    layers = [{**row, **module}, {**huge, **module, "build_config": {"input_shape": [None, 1_000_000]}}]
    config = {"module": "keras", "class_name": "Sequential", "config": {"name": "s", "layers": layers}}
    file = read_keras_file(write_keras(tmp_path / "huge.keras", config))
    with pytest.raises(ModelError, match="memory") as caught:
        convert(file, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["huge.keras"]


def test_a_damaged_file_is_one_line(keras_models: Path, tmp_path: Path) -> None:
    path = tmp_path / "table.h5"
    shutil.copy(keras_models / "table.h5", path)
    file = read_keras_file(path)
    path.write_bytes(path.read_bytes()[:4000])
    with pytest.raises(ModelError, match="Keras cannot convert the model: ") as caught:
        convert(file, tmp_path / "out")
    assert "\n" not in str(caught.value)


def test_a_conversion_that_takes_too_long_is_ended(keras_models: Path, tmp_path: Path) -> None:
    file = read_keras_file(keras_models / "table.keras")
    with pytest.raises(ModelError, match=r"converting the model took more than 0\.2 s"):
        convert(file, tmp_path / "out", timeout_s=0.2)
    assert list(tmp_path.iterdir()) == []
