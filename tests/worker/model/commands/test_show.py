"""`tfleet model show`, as a process and as a function."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.support.environment import users_environment
from tests.support.graphs import pixel_graph, write_graph, write_model, write_saved_model
from tests.support.pictures import write_labels
from tests.worker.model.keras.test_file import sequential, write_h5, write_keras
from tfleet.deploy.local.plan import PROGRAM
from tfleet.worker.model.commands.show import show
from tfleet.worker.model.tensorflow import tf

pytestmark = pytest.mark.process


def _show(*arguments: str | Path) -> Result:
    return CliRunner().invoke(show, list(map(str, arguments)))


def _document(path: Path) -> Any:
    return json.loads(_show(path, "--json").output)


def test_a_saved_model_is_described(tmp_path: Path) -> None:
    model = write_saved_model(tmp_path / "colours" / "3")
    write_labels(model)
    lines = _show(model).output.splitlines()
    assert lines[0] == "model       colours/3"
    assert f"format      SavedModel, by TensorFlow {tf.__version__}, " in lines[2]
    for line in (
        "kind        image  (from the model)",
        "labels      3: red, green, blue  (from the labels file)",
        "size        8 x 8  (from the model)",
        "activation  softmax  (from the model)",
        "signature   serving_default (default), tensorflow/serving/predict",
        "  input     picture float32[?, 8, 8, 3]",
        "  output    shares float32[?, 3]",
    ):
        assert line in lines
    assert lines[-1] == "call it     curl -F data=@photo.jpg localhost:12480"


def test_the_embedding_is_shown() -> None:
    assert "embedding   pooled:0  (from model.toml)" in _show().output.splitlines()


def test_json_has_the_same(tmp_path: Path) -> None:
    document = _document(write_saved_model(tmp_path / "colours" / "3"))
    assert (document["name"], document["version"], document["tags"]) == ("colours", "3", [["serve"]])
    assert document["default_signature"] == "serving_default"
    (picture,) = document["signatures"]["serving_default"]["inputs"]
    assert (picture["name"], picture["dtype"], picture["shape"]) == ("picture", "float32", [None, 8, 8, 3])
    assert document["facts"]["labels"] == {"value": "none", "source": "the default"}
    assert document["missing_operations"] == []
    assert document["facts"]["kind"] == {"value": "image", "source": "the model"}
    assert "nothing says how the input picture float32[?, 8, 8, 3] is scaled" in document["refusal"]
    assert document["example"] == "curl -F data=@photo.jpg localhost:12480"


def test_a_frozen_graph_has_the_inputs_that_are_named(tmp_path: Path) -> None:
    whole = _document(write_graph(tmp_path / "graph.pb", pixel_graph))
    assert [each["name"] for each in whole["signatures"]["serving_default"]["inputs"]] == ["image"]
    manifest = '[signatures.colours]\ninputs = {p = "image:0"}\noutputs = {s = "shares:0"}\n'
    named = _document(write_model(tmp_path / "m" / "1", manifest=manifest))
    assert [each["name"] for each in named["signatures"]["colours"]["inputs"]] == ["p"]
    assert named["default_signature"] == "colours"


def test_what_init_wrote_beside_a_file_is_read(tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "m" / "colours.pb", pixel_graph)
    write_labels(graph.parent)
    (graph.parent / "model.toml").write_text('[model]\nkind = "tensors"\n')
    facts = _document(graph)["facts"]
    assert facts["kind"] == {"value": "tensors", "source": "model.toml"}
    assert facts["labels"]["value"] == "3: red, green, blue"
    write_graph(tmp_path / "m" / "other.pb", pixel_graph)
    line = "not read    labels.txt, model.toml: other models are in this folder too"
    assert line in _show(graph).output.splitlines()


def test_a_keras_file_is_read_without_keras(tmp_path: Path) -> None:
    layers = [
        {"class_name": "InputLayer", "config": {"name": "x", "batch_shape": [None, 4], "dtype": "float32"}},
        {"class_name": "Lambda", "config": {"name": "double"}},
    ]
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.0.0"}))
        config = {"class_name": "Sequential", "config": {"name": "s", "layers": layers}}
        archive.writestr("config.json", json.dumps(config))
    document = _document(tmp_path / "m.keras")
    assert (document["format"], document["writer"]) == ("Keras file (.keras)", "Keras 3.0.0")
    (x,) = document["signatures"]["serving_default"]["inputs"]
    assert (x["name"], x["dtype"], x["shape"]) == ("x", "float32", [None, 4])
    assert "the Lambda layer 'double' is Python code" in document["refusal"]


def test_operations_that_tensorflow_lacks_are_named(tmp_path: Path) -> None:
    # A node of an operation that nobody has registered, behind a graph that is whole.
    graph = write_graph(tmp_path / "graph.pb", pixel_graph)
    node = b"\x0a\x01t\x12\x0fSentencepieceOp"
    graph.write_bytes(graph.read_bytes() + b"\x0a" + bytes([len(node)]) + node)
    assert _document(graph)["missing_operations"] == ["SentencepieceOp"]
    assert "missing ops SentencepieceOp (tensorflow-text): TensorFlow" in _show(graph).output


def test_a_model_without_a_signature_says_so(tmp_path: Path) -> None:
    output = _show(write_saved_model(tmp_path / "m", signature=False)).output
    assert "signature   none" in output
    assert "call it" not in output


def test_the_options_of_a_worker_describe_the_model(tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "graph.pb", pixel_graph)
    (tmp_path / "names.txt").write_text("red\ngreen\nblue\n")
    described = ("--labels", tmp_path / "names.txt", "--input-mean", "127", "--input-std", "128")
    assert "refused " in _show(graph).output
    lines = _show(graph, *described).output.splitlines()
    assert "labels      3: red, green, blue  (from the labels file)" in lines
    assert not [line for line in lines if line.startswith("refused")]


def test_with_trust_code_is_no_reason_to_refuse(tmp_path: Path) -> None:
    model = write_keras(
        tmp_path / "m.keras", sequential({"class_name": "Lambda", "config": {"name": "double"}})
    )
    assert "is Python code" in _show(model).output
    assert "refused" not in _show(model, "--trust").output


def test_another_tag_is_named(tmp_path: Path) -> None:
    model = write_saved_model(tmp_path / "m")
    (model / "model.toml").write_text('[model]\ntags = ["train"]\n')
    result = _show(model)
    assert result.exit_code == 2
    assert "has no graph with the tags ['train']; it has ['serve']" in result.stderr


def test_a_model_that_counts_is_stateful(tmp_path: Path) -> None:
    module = tf.Module()
    module.count = tf.Variable(0.0)
    module.f = tf.function(module.count.assign_add, input_signature=[tf.TensorSpec([], tf.float32, "by")])
    tf.saved_model.save(module, str(tmp_path / "m" / "1"), signatures=module.f)
    assert _document(tmp_path / "m")["facts"]["stateful"] == {"value": "yes", "source": "the model"}
    (tmp_path / "m" / "1" / "model.toml").write_text("[model]\nstateful = false\n")
    assert _document(tmp_path / "m")["facts"]["stateful"] == {"value": "no", "source": "model.toml"}


def test_what_is_no_model_is_exit_code_2(tmp_path: Path) -> None:
    result = _show(tmp_path / "nowhere")
    assert result.exit_code == 2
    assert result.stderr.startswith(f"tfleet model show: {tmp_path}/nowhere: there is no such file")


def test_without_a_path_it_shows_the_default_model() -> None:
    assert _show().output.startswith("model       efficientnet-lite0/1\n")


def _cpu_s(command: list[str]) -> float:
    """The CPU seconds that a command takes, which has to succeed."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=users_environment())
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return used.ru_utime + used.ru_stime


def test_it_takes_half_a_second_and_no_tensorflow(tmp_path: Path) -> None:
    model = write_saved_model(tmp_path / "m")
    # A third of a second on an idle CPU. It counts double while the other thread of its core works: the least
    # of several tells.
    assert any(_cpu_s([*PROGRAM, "model", "show", str(model)]) < 0.8 for _ in range(5)), "CPU seconds"
    code = (
        "import sys; from tfleet.worker.model.commands.show import show;"
        "show.main([sys.argv[1]], standalone_mode=False);"
        "sys.exit(any(name in sys.modules for name in ('tensorflow', 'keras', 'flask')))"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(model)],
        check=True,
        stdout=subprocess.DEVNULL,
    )


def test_a_keras_file_says_its_inputs_outputs_and_code(tmp_path: Path) -> None:
    layer = {"class_name": "Lambda", "config": {"name": "double"}}
    lines = _show(write_keras(tmp_path / "model.keras", sequential(layer))).output.splitlines()
    assert lines[2].startswith("format      Keras file (.keras), by Keras 3.15.1, ")
    for line in ("  input     x float32[?, 4]", "  output    y float32, shape unknown"):
        assert line in lines
    assert "code        double (Lambda): Python code, see --trust" in lines


def _layers(shape: list[int | None], *between: dict[str, Any]) -> dict[str, Any]:
    """A model with an input of this shape, as Keras describes it."""
    first = {"class_name": "InputLayer", "config": {"name": "x", "batch_shape": shape, "dtype": "float32"}}
    last = {"class_name": "Dense", "config": {"name": "y", "dtype": "float32"}}
    return {"class_name": "Sequential", "config": {"name": "s", "layers": [first, *between, last]}}


def test_no_call_is_shown_before_the_kind_is_known(tmp_path: Path) -> None:
    permute = {"class_name": "Permute", "config": {"name": "p"}}
    photos = _show(write_keras(tmp_path / "photos.keras", _layers([None, 32, 32, 3], permute))).output
    assert "kind        told after the conversion: tfleet model convert\n" in photos
    assert "call it" not in photos
    assert "call it" in _show(write_keras(tmp_path / "table.keras", _layers([None, 4]))).output


def test_what_is_stated_of_a_keras_file_is_shown(tmp_path: Path) -> None:
    file = write_keras(tmp_path / "model.keras", _layers([None, 2]))
    write_labels(tmp_path)
    (tmp_path / "model.toml").write_text('[model]\nkind = "table"\ncolumns = ["a", "b"]\n')
    lines = _show(file).output.splitlines()
    for line in (
        "kind        table  (from model.toml)",
        "columns     a, b  (from model.toml)",
        "labels      3: red, green, blue  (from the labels file)",
    ):
        assert line in lines
    assert "told after" not in "".join(lines)
    (tmp_path / "model.toml").write_text('[model]\ncolumns = ["a", "b", "c"]\n')
    assert "has 3 names, but the input x float32[?, 2] takes 2" in _document(file)["refusal"]


def test_an_hdf5_file_is_described_too(tmp_path: Path) -> None:
    document = _document(write_h5(tmp_path / "model.h5", sequential()))
    assert document["writer"] == "Keras 2.4.0"
    (signature,) = document["signatures"].values()
    assert signature["inputs"][0]["shape"] == [None, 4]
    assert document["code"] == []
