"""Files that try to run code or to read other files. Each shape of attack is refused by the part's name."""

import base64
import json
import marshal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import pytest

from tests.worker.model.keras.test_file import sequential, write_h5, write_keras
from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.keras.code import find_code
from tfleet.worker.model.keras.convert import convert
from tfleet.worker.model.keras.file import check_code, read_keras_file

KNOWN = frozenset({"Activation", "Dense", "InputLayer", "Lambda", "TFSMLayer", "TimeDistributed"})
OWN = {"module": "keras.layers", "registered_name": None}


def keras_layer(class_name: str, name: str, **config: Any) -> dict[str, Any]:
    return {**OWN, "class_name": class_name, "config": {"name": name, **config}}


def function(module: str | None, name: str, registered: str | None = "function") -> dict[str, Any]:
    return {"module": module, "class_name": "function", "config": name, "registered_name": registered}


def thing(module: str | None, class_name: str, registered: str | None = None, **config: Any) -> Any:
    return {"module": module, "class_name": class_name, "config": config, "registered_name": registered}


BYTE_CODE = base64.b64encode(marshal.dumps(compile("1", "x", "eval"))).decode()
LAMBDA = {"class_name": "__lambda__", "config": {"code": BYTE_CODE, "defaults": None, "closure": None}}

# What is in the file, and what the refusal names.
ATTACKS: dict[str, tuple[dict[str, Any], str]] = {
    "CVE-2024-3660 a Lambda": (keras_layer("Lambda", "bad", function=LAMBDA), "Lambda layer 'bad'"),
    "CVE-2025-9905 an old Lambda": (
        {"class_name": "Lambda", "config": {"name": "bad", "function": [BYTE_CODE, None, None]}},
        "Lambda layer 'bad'",
    ),
    "a Lambda by the name of its module": (
        {**keras_layer("Lambda", "bad"), "module": "keras.src.layers.core.lambda_layer"},
        "Lambda layer 'bad'",
    ),
    "a lambda as an activation": (keras_layer("Dense", "bad", activation=LAMBDA), "'bad'"),
    "a Lambda in a wrapper": (
        keras_layer("TimeDistributed", "outer", layer=keras_layer("Lambda", "bad")),
        "Lambda layer 'bad'",
    ),
    "CVE-2025-1550 a function of any module": (
        keras_layer("Dense", "bad", activation=function("subprocess", "run")),
        r"'bad' has run in it.*--trust would import subprocess",
    ),
    "CVE-2025-1550 a class of any module": (
        {**keras_layer("Popen", "bad"), "module": "subprocess"},
        "'bad' is of the class Popen.*--trust would import subprocess",
    ),
    "CVE-2025-8747 a function that fetches": (
        keras_layer("Dense", "bad", activation=function("keras.utils", "get_file")),
        "'bad' has get_file in it",
    ),
    "a function as if it were a class": (
        keras_layer("Dense", "bad", activation=thing("keras.utils", "get_file")),
        "'bad' has get_file in it",
    ),
    "CVE-2025-9906 the switch of the checks": (
        keras_layer("Dense", "bad", activation=function("keras.config", "enable_unsafe_deserialization")),
        "enable_unsafe_deserialization",
    ),
    "the switch by a name with a dot": (
        keras_layer("Dense", "bad", activation=function("keras", "config.enable_unsafe_deserialization")),
        r"config\.enable_unsafe_deserialization",
    ),
    "a function that loads another model": (
        keras_layer("Dense", "bad", activation=function("keras.models", "load_model")),
        "load_model",
    ),
    "a function that makes objects": (
        keras_layer("Dense", "bad", activation=function("builtins", "deserialize")),
        "deserialize",
    ),
    "CVE-2025-49655 a layer that unpickles": (
        keras_layer("TorchModuleWrapper", "bad", module="gASVAAAA"),
        r"'bad' \(TorchModuleWrapper\) reads 'gASVAAAA'",
    ),
    "CVE-2026-1462 a layer of another model": (
        keras_layer("TFSMLayer", "bad", filepath="/tmp/theirs"),
        r"'bad' \(TFSMLayer\) reads '/tmp/theirs'",
    ),
    "CVE-2025-12058 a vocabulary's path": (
        keras_layer("StringLookup", "bad", vocabulary="/etc/passwd"),
        r"'bad' \(StringLookup\) reads '/etc/passwd'",
    ),
    "a vocabulary's URL in a wrapper": (
        keras_layer(
            "TimeDistributed", "outer", layer=keras_layer("TextVectorization", "bad", vocabulary="gs://x/y")
        ),
        r"'bad' \(TextVectorization\) reads 'gs://x/y'",
    ),
    "an initializer of any module": (
        keras_layer("Dense", "bad", kernel_initializer=thing("os", "system", "system")),
        "'bad' has system in it",
    ),
    "a registered name for one of Keras' own": (
        {**keras_layer("Dense", "bad"), "registered_name": "theirs>Dense"},
        "'bad' is of the class theirs>Dense",
    ),
    "another package that knows Keras": (
        {**keras_layer("Tokenizer", "bad"), "module": "keras_hub.tokenizers"},
        r"--trust would import keras_hub\.tokenizers",
    ),
    "a module that begins like Keras": (
        {**keras_layer("Dense", "bad"), "module": "keras_evil.layers"},
        r"--trust would import keras_evil\.layers",
    ),
    "a type of any module": (
        keras_layer(
            "Dense",
            "bad",
            spec={
                "class_name": "__typespec__",
                "spec_name": "run",
                "config": [],
                "module": "subprocess",
                "registered_name": None,
            },
        ),
        "'bad' has __typespec__ in it",
    ),
    "an argument of a call": (
        {
            **keras_layer("Dense", "bad"),
            "inbound_nodes": [{"args": [], "kwargs": {"x": function("shutil", "rmtree")}}],
        },
        "'bad' has rmtree in it",
    ),
    "a loss of a model within the model": (
        {
            "module": "keras",
            "registered_name": None,
            "class_name": "Sequential",
            "config": {"name": "bad", "layers": [keras_layer("Dense", "d")]},
            "compile_config": {"loss": function("subprocess", "run")},
        },
        "'bad' has run in it",
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_refused_by_name(tmp_path: Path, attack: str) -> None:
    layer, named = ATTACKS[attack]
    file = read_keras_file(write_keras(tmp_path / "m.keras", sequential(layer)))
    with pytest.raises(ModelError, match=named) as caught:
        check_code(file, trust=False)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.process
def test_an_attack_in_hdf5_is_refused_too(tmp_path: Path, attack: str) -> None:
    file = read_keras_file(write_h5(tmp_path / "m.h5", sequential(ATTACKS[attack][0]), "3.15.1"))
    with pytest.raises(ModelError):
        check_code(file, trust=False)


def test_a_class_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    layer = keras_layer("Dense", "bad", activation={"class_name": ["x"], "config": {}})
    with pytest.raises(ModelError, match="a class name in it is not a text"):
        read_keras_file(write_keras(tmp_path / "m.keras", sequential(layer)))


def test_what_keras_itself_writes_needs_no_trust() -> None:
    own = [
        keras_layer("Dense", "a", activation=function("builtins", "relu", "relu")),
        keras_layer("Dense", "b", activation=function("keras.activations", "gelu")),
        keras_layer("Dense", "c", kernel_initializer=thing("keras.initializers", "Zeros")),
        keras_layer("Dense", "d", dtype=thing("keras", "DTypePolicy", name="float32")),
        keras_layer("StringLookup", "e", vocabulary=["cat", "dog"]),
        keras_layer("StringLookup", "f", vocabulary=None),
        {**keras_layer("GetItem", "g"), "module": "keras.src.ops.numpy", "registered_name": "GetItem"},
        {**keras_layer("Dense", "h"), "build_config": {"input_shape": [None, 4]}},
        {"class_name": "Dense", "config": {"name": "i", "kernel_initializer": {"class_name": "Zeros"}}},
    ]
    functional = {
        **thing("keras.src.models.functional", "Functional", "Functional"),
        "config": {"layers": own},
    }
    assert find_code(functional, frozenset({"Dense"})) == ()


def test_every_part_is_named_not_only_the_first(tmp_path: Path) -> None:
    two = keras_layer("Dense", "bad", activation=LAMBDA, kernel_initializer=function("os", "system"))
    assert [str(part) for part in find_code(sequential(two), KNOWN)] == ["bad (Lambda)", "bad (system)"]


_MARKS = "import pathlib, keras\npathlib.Path({mark!r}).touch()\nclass Twice(keras.layers.Layer):\n    pass\n"


def _archive(path: Path, config: Any, write: Callable[[h5py.File], None]) -> Path:
    """A .keras file with the weights that `write` makes."""
    weights = BytesIO()
    with h5py.File(weights, "w") as file:
        write(file)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", weights.getvalue())
    return path


@pytest.mark.process
@pytest.mark.timeout(300)
def test_nothing_is_imported_without_trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = tmp_path / "ran"
    (tmp_path / "theirs.py").write_text(_MARKS.format(mark=str(mark)))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    bad = {**keras_layer("Twice", "bad"), "module": "theirs", "build_config": {"input_shape": [None, 4]}}
    config = {**sequential(bad), "module": "keras", "registered_name": None}
    path = _archive(tmp_path / "m.keras", config, lambda file: None)
    command = (sys.executable, "-m", "tfleet", "model", "convert", str(path), str(tmp_path / "out"))
    refused = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (refused.returncode, refused.stderr.count("\n"), mark.exists()) == (2, 1, False)
    assert "'bad' is of the class Twice" in refused.stderr
    subprocess.run((*command, "--trust"), capture_output=True, timeout=240, check=False)
    assert mark.exists(), "the file would have run it"


def _linked(file: h5py.File, secret: Path) -> None:
    file["layers/vars"] = h5py.ExternalLink(str(secret), "/weights")


def _stored_elsewhere(file: h5py.File, secret: Path) -> None:
    file.create_dataset("layers/vars", (4,), "u1", external=[(str(secret), 0, 4)])


def _virtual(file: h5py.File, secret: Path) -> None:
    layout = h5py.VirtualLayout((4,), "u1")
    layout[:] = h5py.VirtualSource(str(secret), "/weights", (4,))
    file.create_virtual_dataset("layers/vars", layout)


WEIGHTS = [(_linked, "is a link to"), (_stored_elsewhere, "is kept in"), (_virtual, "put together")]


@pytest.mark.parametrize(("write", "named"), WEIGHTS)
@pytest.mark.process
def test_weights_in_another_file_are_refused(
    tmp_path: Path, write: Callable[[h5py.File, Path], None], named: str
) -> None:
    path = write_h5(tmp_path / "m.h5", sequential())
    with h5py.File(path, "r+") as file:
        write(file, tmp_path / "secret")
    with pytest.raises(ModelError, match=rf"has data in other files, .*/layers/vars.*{named}"):
        read_keras_file(path)


@pytest.mark.parametrize(("write", "named"), WEIGHTS)
@pytest.mark.process
@pytest.mark.timeout(300)
def test_an_archives_weights_in_another_file_are_refused(
    keras_models: Path, tmp_path: Path, write: Callable[[h5py.File, Path], None], named: str
) -> None:

    with zipfile.ZipFile(keras_models / "table.keras") as good:
        config = json.loads(good.read("config.json"))
    path = _archive(tmp_path / "bad.keras", config, lambda file: write(file, tmp_path / "secret"))
    with pytest.raises(ModelError, match=rf"/layers/vars.*{named}"):
        convert(read_keras_file(path), tmp_path / "out")
