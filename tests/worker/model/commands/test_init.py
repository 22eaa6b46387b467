"""`tfleet model init`: a model.toml with what was found out."""

import json
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from tests.support.graphs import pixel_graph, write_graph, write_saved_model
from tests.support.pictures import write_labels
from tests.worker.model.keras.test_file import sequential, write_keras
from tfleet.discovery.options import options_as
from tfleet.worker.model.commands.init import init
from tfleet.worker.model.commands.show import as_document
from tfleet.worker.model.find import find_model
from tfleet.worker.model.graph_options import GraphOptions, graph_options
from tfleet.worker.model.manifest import read_manifest
from tfleet.worker.model.report import ModelReport, look_at
from tfleet.worker.model.spec import ModelSpec
from tfleet.worker.model.tensorflow import tf

pytestmark = pytest.mark.process


def _init(*arguments: str | Path) -> Result:
    return CliRunner().invoke(init, list(map(str, arguments)))


def _with_all_stated(file: Path) -> dict[str, Any]:
    """The document with every setting stated; model.toml's reader has accepted it."""
    first, *lines = file.read_text().split("\n")
    assert first.startswith("# ")
    file.write_text("\n".join(line.removeprefix("# ") for line in lines))
    read_manifest(file)
    return tomllib.loads(file.read_text())


@pytest.mark.parametrize("folder", ["3", "red-and-blue"])
def test_it_changes_nothing_by_itself(tmp_path: Path, folder: str) -> None:
    model = write_saved_model(tmp_path / "colours" / folder)
    before = find_model(model)
    assert _init(model).exit_code == 0
    after = find_model(model)
    assert (after.label, after.input, after.output, after.serving) == (
        before.label,
        before.input,
        before.output,
        before.serving,
    )


def test_an_image_model_gets_its_preprocessing(tmp_path: Path) -> None:
    model = write_saved_model(tmp_path / "colours" / "3")
    write_labels(model)
    result = _init(model)
    assert result.output.startswith(f"{model}/model.toml: ")
    stated = _with_all_stated(model / "model.toml")
    assert (stated["model"]["kind"], stated["model"]["signature"]) == ("image", "serving_default")
    assert stated["model"]["tags"] == ["serve"]
    assert stated["model"]["batch"] is True
    assert (stated["input"]["mean"], stated["input"]["std"]) == (0, 255)
    assert stated["output"]["activation"] == "softmax"


def test_a_table_gets_names_for_its_numbers(tmp_path: Path) -> None:
    module = tf.Module()
    module.f = tf.function(
        lambda row: {"sum": row + 1}, input_signature=[tf.TensorSpec([None, 3], tf.float32, "row")]
    )
    tf.saved_model.save(module, str(tmp_path / "table" / "1"), signatures=module.f)
    assert _init(tmp_path / "table").exit_code == 0
    stated = _with_all_stated(tmp_path / "table" / "1" / "model.toml")
    assert stated["model"]["columns"] == ["column1", "column2", "column3"]
    assert "input" not in stated


def test_a_keras_table_gets_names_for_its_numbers(tmp_path: Path) -> None:
    file = write_keras(tmp_path / "table.keras", sequential())
    assert _init(file).exit_code == 0
    stated = _with_all_stated(tmp_path / "model.toml")
    assert stated["model"]["columns"] == ["column1", "column2", "column3", "column4"]


def test_a_frozen_graph_gets_its_signature(tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "colours" / "1" / "frozen.pb", pixel_graph)
    assert _init(graph).exit_code == 0, "the file has a folder of its own"
    stated = _with_all_stated(graph.parent / "model.toml")
    assert stated["signatures"]["serving_default"] == {
        "inputs": {"image": "image:0"},
        "outputs": {"shares": "shares:0"},
    }


def test_json_has_file_and_text(tmp_path: Path) -> None:
    model = write_saved_model(tmp_path / "m" / "1")
    document = json.loads(_init(model, "--json").output)
    assert document["file"] == str(model / "model.toml")
    assert document["text"] == (model / "model.toml").read_text()


@pytest.mark.parametrize("name", ["nowhere", "shared.pb", "described"])
def test_what_it_cannot_do_is_one_line(tmp_path: Path, name: str) -> None:
    write_graph(tmp_path / "shared.pb", pixel_graph)
    write_graph(tmp_path / "other.pb", pixel_graph)
    write_graph(tmp_path / "described" / "frozen.pb", pixel_graph)
    (tmp_path / "described" / "model.toml").touch()
    result = _init(tmp_path / name)
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("tfleet model init: ")
    reasons = {"nowhere": "no such file", "shared.pb": "folder of its own", "described": "exists already"}
    assert reasons[name] in line


def test_a_hostile_name_stays_within_its_comment(tmp_path: Path) -> None:
    module = tf.Module()
    module.f = tf.function(lambda x: x, input_signature=[tf.TensorSpec([None, 2], tf.float32, "x")])
    hostile = 'a"\n[model]\nkind = "image'
    tf.saved_model.save(module, str(tmp_path / "m" / "1"), signatures={hostile: module.f})
    assert _init(tmp_path / "m").exit_code == 0
    assert tomllib.loads((tmp_path / "m" / "1" / "model.toml").read_text()) == {"model": {}}
    assert _with_all_stated(tmp_path / "m" / "1" / "model.toml")["model"]["signature"] == hostile


def _without_sources(report: ModelReport) -> dict[str, Any]:
    """What is shown of a model, but for where it is from, and where the description is."""
    document = as_document(report)
    document["facts"] = {name: fact["value"] for name, fact in document["facts"].items()}
    return document


OPTIONS: dict[str, tuple[str, ...]] = {
    "scaling": ("--input-mean", "127.5", "--input-std", "127.5"),
    "one of two": ("--input-std", "1"),
    "activation": ("--input-mean", "0", "--activation", "none"),
    "tensors": ("--input-layer", "image:0", "--output-layer", "shares:0", "--input-size", "8"),
    "labels": ("--labels", "names.txt", "--input-std", "255"),
}


@pytest.mark.parametrize("given", OPTIONS)
def test_options_are_stated_in_the_model_toml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_labels(tmp_path)
    Path("labels.txt").rename("names.txt")
    graph = write_graph(tmp_path / "colours" / "1" / "frozen.pb", pixel_graph)
    options = OPTIONS[given]
    described: list[ModelSpec] = []

    @click.command
    @graph_options
    @options_as(GraphOptions, "graph")
    def find(graph: GraphOptions) -> None:
        described.append(graph.find(tmp_path / "colours", trust=False))

    assert CliRunner().invoke(find, options).exit_code == 0
    by_options = _without_sources(look_at(described[0]))
    result = _init(graph.parent, *options)
    assert result.exit_code == 0, result.output
    by_manifest = _without_sources(look_at(find_model(tmp_path / "colours")))
    assert by_manifest == by_options
    text = (graph.parent / "model.toml").read_text()
    stated = [line.partition(" = ")[0] for line in text.splitlines() if " = " in line and line[0] != "#"]
    assert len(stated) == len(options) // 2 - ("--labels" in options)


def test_a_signature_that_is_named_is_stated(tmp_path: Path) -> None:
    module = tf.Module()
    module.f = tf.function(lambda x: x, input_signature=[tf.TensorSpec([None, 2], tf.float32, "x")])
    tf.saved_model.save(module, str(tmp_path / "m" / "1"), signatures={"a": module.f, "b": module.f})
    assert _init(tmp_path / "m", "--signature", "b").exit_code == 0
    stated = tomllib.loads((tmp_path / "m" / "1" / "model.toml").read_text())
    assert stated == {"model": {"signature": "b"}}
    assert look_at(find_model(tmp_path / "m")).default == "b"


def test_other_labels_are_not_overwritten(tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "1" / "frozen.pb", pixel_graph)
    write_labels(graph.parent)
    (tmp_path / "other.txt").write_text("a\nb\nc\n")
    result = _init(graph, "--labels", tmp_path / "other.txt")
    assert (result.exit_code, "labels.txt: exists already" in result.stderr) == (2, True)
    assert not (graph.parent / "model.toml").exists()
