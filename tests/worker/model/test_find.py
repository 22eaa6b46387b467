"""What `--model` and the options beside it may be."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.pictures import COLOURS, write_labels
from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.find import find_model, unread_files
from tfleet.worker.model.spec import InputSpec, OutputSpec, ServingSpec

# A GraphDef of one node, and the two fields of a SavedModel.
GRAPH = b"\x0a\x10\x0a\x01x\x12\x0bPlaceholder"
SAVED_MODEL = b"\x08\x01\x12\x00"


def _folder(path: Path, graph: str = "graph.pb") -> Path:
    write_labels(path)
    (path / "model.toml").touch()
    _write(path / graph)
    return path


def _write(*files: Path) -> None:
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(SAVED_MODEL if file.name == "saved_model.pb" else GRAPH)


def test_the_default_model_is_in_the_package() -> None:
    spec = find_model(None)
    assert (spec.label, len(spec.labels)) == ("efficientnet-lite0/1", 1000)
    assert len(set(spec.labels)) == 1000
    assert {"tiger cat", "Egyptian cat", "espresso", "missile", "academic gown", "beagle"} < set(spec.labels)


@pytest.mark.process
def test_finding_a_model_needs_no_tensorflow() -> None:
    code = (
        "import sys; from tfleet.worker.model import find_model; import tfleet.worker.image.preprocess;"
        "find_model(None); sys.exit('tensorflow' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_version_folder_describes_its_model(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "colours" / "3")
    spec = find_model(folder)
    assert (spec.name, spec.version, spec.path, spec.labels) == ("colours", "3", folder / "graph.pb", COLOURS)
    assert spec.described_by == folder / "model.toml"


def test_a_folder_without_a_number_is_no_version(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "models" / "colours")
    spec = find_model(folder)
    assert (spec.label, spec.described_by) == ("colours/0", folder / "model.toml")


def test_the_version_with_the_highest_number_is_used(tmp_path: Path) -> None:
    for version in ("9", "10", "2-broken"):
        _folder(tmp_path / "colours" / version)
    assert find_model(tmp_path / "colours").label == "colours/10"


def test_a_relative_path_has_the_folders_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(_folder(tmp_path / "colours" / "3"))
    assert find_model(Path()).label == "colours/3"


@pytest.mark.parametrize(
    ("graph", "path"), [("saved_model.pb", "."), ("saved_model/saved_model.pb", "saved_model")]
)
def test_a_saved_model_may_have_its_own_subfolder(tmp_path: Path, graph: str, path: str) -> None:
    folder = _folder(tmp_path / "colours" / "3", graph)
    assert find_model(folder).path == folder / path


def test_a_frozen_graph_is_described_by_options(tmp_path: Path) -> None:
    graph = tmp_path / "output_graph.pb"
    _write(graph)
    spec = find_model(
        graph,
        labels=write_labels(tmp_path),
        input_layer="Mul",
        output_layer="final_result:0",
        input_size=299,
        input_mean=128,
        input_std=128,
        activation="softmax",
        signature="classify",
    )
    assert (spec.label, spec.path, spec.labels, spec.described_by) == ("output_graph/0", graph, COLOURS, None)
    assert spec.input == InputSpec("Mul", (299, 299), mean=(128,), std=(128,))
    assert spec.output == OutputSpec("final_result:0", "softmax")
    assert spec.serving == ServingSpec(signature="classify")


def test_a_file_with_its_own_folder_has_what_is_there(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "colours", "model.pb")
    (folder / "model.toml").write_text("[model]\nstateful = true\n")
    spec = find_model(folder / "model.pb")
    assert (spec.label, spec.labels, spec.described_by) == ("model/0", COLOURS, folder / "model.toml")
    assert (spec.serving.runs.stateful, unread_files(spec)) == (True, ())
    with pytest.raises(ModelError, match=r"the folder's model.toml describes the model: remove --labels"):
        find_model(folder / "model.pb", labels=folder / "labels.txt")


def test_a_file_among_others_says_what_is_not_read(tmp_path: Path) -> None:
    folder = _folder(tmp_path, "model.pb")
    _write(folder / "other.pb")
    spec = find_model(folder / "model.pb")
    assert (spec.labels, spec.described_by) == ((), None)
    assert [file.name for file in unread_files(spec)] == ["labels.txt", "model.toml"]
    spec = find_model(folder / "model.pb", labels=folder / "labels.txt")
    assert [file.name for file in unread_files(spec)] == ["model.toml"]


def test_a_bare_saved_model_is_described_by_options(tmp_path: Path) -> None:
    folder = tmp_path / "export"
    _write(folder / "saved_model.pb")
    spec = find_model(folder, labels=write_labels(tmp_path))
    assert (spec.label, spec.path) == ("export/0", folder)


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ([], "has neither a model .* nor a numbered version folder; it has nothing"),
        (["readme.md"], "it has readme.md"),
        (["model.toml"], "has no graph: put graph.pb, a SavedModel"),
        (["graph.pb", "saved_model.pb"], "has both"),
    ],
)
def test_missing_files_of_a_folder_are_named(tmp_path: Path, files: list[str], problem: str) -> None:
    _write(*(tmp_path / name for name in files))
    with pytest.raises(ModelError, match=problem):
        find_model(tmp_path)


@pytest.mark.parametrize(
    ("path", "options", "problem"),
    [
        ("nowhere", {}, "nowhere: there is no such file or folder"),
        ("g.pb", {"labels": Path("nowhere")}, "nowhere: no such file"),
        ("saved_model.pb", {}, "is part of a SavedModel; give its folder"),
        (
            "folder/1",
            {"input_layer": "x"},
            "describes the model: remove --input-layer",
        ),
        (None, {"input_mean": 3.0}, "--input-mean describe a model: name it with --model"),
        ("g.pb", {"input_size": 0}, "--input-size must be at least 1"),
        ("g.pb", {"input_std": 0.0}, "--input-std must not be 0"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    tmp_path: Path, path: str | None, options: dict[str, Any], problem: str
) -> None:
    _write(tmp_path / "g.pb", tmp_path / "saved_model.pb")
    _folder(tmp_path / "folder" / "1")
    with pytest.raises(ModelError, match=problem):
        find_model(None if path is None else tmp_path / path, **options)


@pytest.mark.parametrize(
    ("files", "named", "label", "graph"),
    [
        (["m/1/saved_model.pb"], "m", "m/1", "m/1"),
        (["m/00000123/saved_model.pb"], "m/00000123", "m/123", "m/00000123"),
        (["m/saved_model.pb"], "m", "m/0", "m"),
        (["m/2/model.savedmodel/saved_model.pb"], "m", "m/2", "m/2/model.savedmodel"),
        (["m/2/model.graphdef"], "m", "m/2", "m/2/model.graphdef"),
        (["m/frozen.pb", "m/README.md", "m/photo.jpg"], "m", "m/0", "m/frozen.pb"),
        (["m/frozen", "m/LICENSE", "m/.git"], "m", "m/0", "m/frozen"),
        (["m/3/frozen.pb", "m/3/labels.txt", "m/2/x.pb"], "m", "m/3", "m/3/frozen.pb"),
        (["m/saved_model.pb", "m/tfhub_module.pb", "m/fingerprint.pb"], "m", "m/0", "m"),
        (["m/graph.pb", "m/source.h5"], "m", "m/0", "m/graph.pb"),
        (["m/frozen.pb"], "m/frozen.pb", "frozen/0", "m/frozen.pb"),
    ],
)
def test_a_model_needs_neither_description_nor_labels(
    tmp_path: Path, files: list[str], named: str, label: str, graph: str
) -> None:
    _write(*(tmp_path / file for file in files if not file.endswith("labels.txt")))
    for file in (file for file in files if file.endswith("labels.txt")):
        write_labels((tmp_path / file).parent)
    spec = find_model(tmp_path / named)
    assert (spec.label, spec.path, spec.described_by) == (label, tmp_path / graph, None)
    assert spec.labels == (COLOURS if "m/3/labels.txt" in files else ())


def test_options_describe_a_folder_without_model_toml(tmp_path: Path) -> None:
    _write(tmp_path / "m" / "4" / "frozen.pb")
    spec = find_model(tmp_path / "m", labels=write_labels(tmp_path), input_size=9, output_layer="y")
    assert (spec.label, spec.labels) == ("m/4", COLOURS)
    assert (spec.input.size, spec.output.tensor) == ((9, 9), "y")


def test_a_model_toml_needs_no_labels_beside_it(tmp_path: Path) -> None:
    _folder(tmp_path / "m" / "1")
    (tmp_path / "m" / "1" / "labels.txt").unlink()
    assert find_model(tmp_path / "m").labels == ()


def test_a_renamed_saved_model_is_told(tmp_path: Path) -> None:
    (tmp_path / "graph.pb").write_bytes(SAVED_MODEL)
    with pytest.raises(ModelError, match="is part of a SavedModel; call it"):
        find_model(tmp_path)
