"""Files as Keras writes them, damaged ones, and hostile ones."""

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import pytest

from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.keras.file import check_code, is_keras_file, read_keras_file

INPUT = {"class_name": "InputLayer", "config": {"name": "x", "batch_shape": [None, 4], "dtype": "float32"}}
DENSE = {"class_name": "Dense", "config": {"name": "y", "dtype": "float32"}}


def sequential(*layers: Any) -> dict[str, Any]:
    return {"class_name": "Sequential", "config": {"name": "s", "layers": [INPUT, *layers, DENSE]}}


def write_keras(path: Path, config: Any, version: str = "3.15.1") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": version}))
        archive.writestr("config.json", config if isinstance(config, str) else json.dumps(config))
        archive.writestr("model.weights.h5", b"weights")
    return path


def write_h5(path: Path, config: Any, version: str = "2.4.0", **attributes: str) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(config)
        file.attrs["keras_version"] = version
        for name, value in attributes.items():
            file.attrs[name] = value
    return path


Writer = Callable[[Path, Any], Path]


@pytest.mark.parametrize(("write", "form"), [(write_keras, "keras"), (write_h5, "h5")])
@pytest.mark.process
def test_inputs_and_outputs_are_read_without_keras(tmp_path: Path, write: Writer, form: str) -> None:
    file = read_keras_file(write(tmp_path / f"model.{form}", sequential()))
    assert (file.form, [str(i) for i in file.inputs], [o.name for o in file.outputs]) == (
        form,
        ["x float32[?, 4]"],
        ["y"],
    )
    assert file.rewritten is (form == "h5"), "Keras 2.4.0 wrote that one"


@pytest.mark.process
def test_reading_imports_neither_keras_nor_hdf5(tmp_path: Path) -> None:
    path = write_h5(tmp_path / "m.h5", sequential())
    code = (
        "import sys; from pathlib import Path; from tfleet.worker.model.keras.file import read_keras_file;"
        "read_keras_file(Path(sys.argv[1]));"
        "sys.exit(bool({'keras', 'h5py', 'tensorflow'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, timeout=60)


def test_the_form_is_told_by_the_bytes_not_the_name(tmp_path: Path) -> None:
    assert read_keras_file(write_h5(tmp_path / "model.keras", sequential())).form == "h5"
    assert is_keras_file(tmp_path / "model.keras")


@pytest.mark.parametrize("write", [write_keras, write_h5])
def test_a_lambda_needs_trust(tmp_path: Path, write: Writer) -> None:
    lam = {"class_name": "Lambda", "config": {"name": "double", "function": ["4wE=", None, None]}}
    file = read_keras_file(write(tmp_path / "m", sequential(lam)))
    with pytest.raises(ModelError, match=r"the Lambda layer 'double' is Python code .* --trust"):
        check_code(file, trust=False)
    check_code(file, trust=True)


@pytest.mark.parametrize("trust", [False, True])
def test_a_class_that_nobody_can_import_is_refused(tmp_path: Path, trust: bool) -> None:
    custom = {"class_name": "Twice", "config": {"name": "two"}, "module": None, "registered_name": "my>Twice"}
    file = read_keras_file(write_keras(tmp_path / "m.keras", sequential(custom)))
    with pytest.raises(ModelError, match=r"'two' is of the class my>Twice, which Keras .*export"):
        check_code(file, trust=trust)


def test_a_class_with_a_module_needs_trust(tmp_path: Path) -> None:
    custom = {
        "class_name": "Twice",
        "config": {"name": "two"},
        "module": "my.layers",
        "registered_name": None,
    }
    file = read_keras_file(write_keras(tmp_path / "m.keras", sequential(custom)))
    with pytest.raises(ModelError, match=r"--trust would import my\.layers"):
        check_code(file, trust=False)
    check_code(file, trust=True)


@pytest.mark.process
def test_an_old_files_unknown_layer_is_named(tmp_path: Path) -> None:
    removed = {"class_name": "LocallyConnected1D", "config": {"name": "l"}}
    file = read_keras_file(write_h5(tmp_path / "m.h5", sequential(removed)))
    with pytest.raises(
        ModelError, match=r"'l' is of the class LocallyConnected1D, .* from an HDF5 file: .*\.keras"
    ):
        check_code(file, trust=False)


def test_weights_alone_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file.create_group("layers")
    with pytest.raises(ModelError, match="has the weights only, not the model"):
        read_keras_file(tmp_path / "w.h5")


def test_an_hdf5_file_of_something_else_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["x"] = [1, 2]
    with pytest.raises(ModelError, match="is an HDF5 file without a Keras model"):
        read_keras_file(tmp_path / "data.h5")


@pytest.mark.parametrize("keep", [9, 100, 600])
@pytest.mark.process
def test_a_cut_off_hdf5_file_is_one_line(tmp_path: Path, keep: int) -> None:
    path = write_h5(tmp_path / "m.h5", sequential())
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ModelError, match="HDF5 file") as caught:
        read_keras_file(path)
    assert "\n" not in str(caught.value)


def test_garbage_after_the_signature_is_one_line(tmp_path: Path) -> None:
    path = write_h5(tmp_path / "m.h5", sequential())
    data = bytearray(path.read_bytes())
    for position in range(8, len(data), 7):
        data[position] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(ModelError, match="HDF5 file"):
        read_keras_file(path)


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ("{", "it is damaged"),
        ("[" * 100_000, "it is damaged"),
        ("[]", "it is not that of a model"),
        ('{"class_name": "Functional", "config": {}}', "Functional has no list of layers"),
        ('{"class_name": "Sequential", "config": {"layers": [{"class_name": 1}]}}', "not a text"),
    ],
)
def test_a_bad_configuration_is_one_line(tmp_path: Path, config: str, problem: str) -> None:
    with pytest.raises(ModelError, match=f"can't be used: .*{problem}"):
        read_keras_file(write_keras(tmp_path / "m.keras", config))


@pytest.mark.process
def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", json.dumps(sequential()))
        with archive.open("model.weights.h5", "w") as member:
            for _ in range(100):
                member.write(bytes(1 << 20))
    with pytest.raises(ModelError, match=r"'model\.weights\.h5' in it would take 104857600 bytes"):
        read_keras_file(tmp_path / "m.keras")


@pytest.mark.process
def test_a_huge_configuration_is_refused(tmp_path: Path) -> None:
    path = write_keras(tmp_path / "m.keras", " " * (65 << 20))
    with pytest.raises(ModelError, match=r"'config\.json' in it would take"):
        read_keras_file(path)


@pytest.mark.process
def test_theanos_models_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="Theano"):
        read_keras_file(write_h5(tmp_path / "m.h5", sequential(), backend="theano"))
