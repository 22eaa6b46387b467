"""`tfleet model check` loads a model, runs it and says what came of it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from tests.support.graphs import pixel_graph, write_graph, write_model
from tests.support.pictures import picture, write_labels
from tests.support.tensor_models import write_arithmetic, write_counter
from tfleet import worker
from tfleet.worker.commands.check import check, content_type_of
from tfleet.worker.commands.check_report import array_text

pytestmark = pytest.mark.process


def _run(*arguments: Any) -> Any:
    return CliRunner().invoke(check, [str(each) for each in arguments])


def test_a_table_model_is_run_and_timed(tmp_path: Path) -> None:
    rows = tmp_path / "rows.json"
    rows.write_text('[{"a": 1, "b": 2}]')
    done = _run(write_arithmetic(tmp_path / "sums" / "1"), rows, "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert (report["model"], report["kind"]) == ("sums/1", "table (from the model)")
    assert report["warm_up_s"] > 0
    by_name = {each["name"]: each for each in report["signatures"]}
    assert by_name["serving_default"]["batched"]
    assert by_name["serving_default"]["ms"] > 0
    assert not by_name["scalar"]["batched"]
    assert report["examples"][0]["outputs"] == {"diff": "float32[1] -1", "sum": "float32[1] 3"}


def test_the_models_own_function_makes_the_answer(tmp_path: Path) -> None:
    folder = write_arithmetic(tmp_path / "sums" / "1")
    (folder / "model.toml").write_text('[output]\nfunction = "answer.py:make"\n')
    (folder / "answer.py").write_text(
        "def make(outputs):\n    assert outputs['sum'][0] < 9\n    return {'double': outputs['sum'] * 2}\n"
    )
    small, large = tmp_path / "small.json", tmp_path / "large.json"
    small.write_text('[{"a": 1, "b": 2}]')
    large.write_text('[{"a": 10, "b": 2}]')
    done = _run(folder, small, large, "--trust")
    assert done.exit_code == 1, done.output
    assert "  double: float32[1] 6" in done.output
    assert f"tfleet model check: {large}: output.function fails: AssertionError" in done.output


@pytest.mark.parametrize("write", [write_arithmetic, write_model])
def test_a_model_without_batches_says_why(tmp_path: Path, write: Any) -> None:
    folder = write(tmp_path / "m" / "1")
    with (folder / "model.toml").open("a") as file:
        file.write("[model]\nbatch = false\n")
    done = _run(folder)
    assert done.exit_code == 0, done.output
    assert f"; model.batch in {folder}/model.toml is false\n" in done.output


def test_an_image_model_names_the_best_labels(tmp_path: Path) -> None:
    photo = tmp_path / "red.png"
    photo.write_bytes(picture("red"))
    done = _run(write_model(tmp_path / "m" / "1"), photo)
    assert done.exit_code == 0, done.output
    assert "m/1: image (from the model)" in done.output
    assert "  red: 0.9" in done.output
    assert "  sum: 1.0000" in done.output
    assert "  probabilities: true" in done.output


def test_a_table_model_with_labels_names_the_best(tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("sepal_length,sepal_width,petal_length,petal_width\n5.1,3.5,1.4,0.2\n6.7,3.0,5.2,2.3\n")
    iris = Path(worker.__file__).parent / "models" / "iris"
    done = _run(iris, rows)
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    first = lines.index(next(line for line in lines if line.startswith("rows.csv: "))) + 1
    assert lines[first].startswith("  setosa: 0.9")
    assert lines[first + 3 :] == [
        "  rows: 2; the labels are those of the first",
        "  sum: 1.0000, 1.0000",
        "  probabilities: true",
    ]


def test_a_stateful_model_is_not_timed(tmp_path: Path) -> None:
    done = _run(write_counter(tmp_path / "m"))
    assert "signature serving_default: it keeps state, and was not timed; it keeps state" in done.output


def test_what_cannot_be_served_ends_with_2(tmp_path: Path) -> None:
    done = _run(tmp_path)
    assert done.exit_code == 2
    assert done.stderr.startswith("tfleet model check: ")


@pytest.mark.parametrize("content", ['[{"a": 1}]', "no JSON"])
def test_an_example_that_does_not_fit_ends_with_1(tmp_path: Path, content: str) -> None:
    rows = tmp_path / "rows.json"
    rows.write_text(content)
    done = _run(write_arithmetic(tmp_path / "m"), rows)
    assert done.exit_code == 1
    assert "rows.json: " in done.stderr
    assert "signature serving_default" in done.stdout


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.json", "application/json"),
        ("a.CSV", "text/csv"),
        ("a.npz", "application/x-npz"),
        ("a", "application/json"),
    ],
)
def test_the_suffix_of_an_example_is_its_type(name: str, kind: str) -> None:
    assert content_type_of(Path(name)) == kind


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.array([[0.5, 1]], np.float32), "float32[1, 2] 0.5, 1"),
        (np.array([b"caf\xc3\xa9"], object), "string[1] 'café'"),
        (np.arange(20), "int64[20] 0, 1, 2, 3, 4, 5, 6, 7, ..."),
        (np.array(True), "bool[] True"),
    ],
)
def test_an_output_is_shown_in_a_line(array: Any, text: str) -> None:
    assert array_text(array) == text


def test_options_describe_a_model_without_model_toml(tmp_path: Path) -> None:
    photo = tmp_path / "blue.png"
    photo.write_bytes(picture("blue"))
    graph = write_graph(tmp_path / "g.pb", pixel_graph)
    done = _run(graph, photo, "--input-std", "255", "--labels", write_labels(tmp_path))
    assert done.exit_code == 0, done.output
    assert "g/0: image (from the model)" in done.output
    assert "  blue: 0.9" in done.output
