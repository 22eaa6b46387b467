"""`tfleet model convert`."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.worker.model.keras.test_file import sequential, write_keras
from tfleet.worker.model.commands.convert import convert


def run(*arguments: object) -> Result:
    return CliRunner().invoke(convert, [str(each) for each in arguments])


@pytest.mark.process
@pytest.mark.timeout(600)
def test_it_writes_a_saved_model(keras_models: Path, tmp_path: Path) -> None:
    result = run(keras_models / "table.keras", tmp_path / "table" / "1")
    assert (result.exit_code, result.stdout.partition(", made in")[0]) == (
        0,
        f"{tmp_path}/table/1: a SavedModel",
    )
    assert "comparing answers ..." in result.stderr
    assert (tmp_path / "table" / "1" / "saved_model.pb").exists()


@pytest.mark.process
@pytest.mark.timeout(600)
def test_it_prints_one_json_object(keras_models: Path, tmp_path: Path) -> None:
    result = run(keras_models / "table.h5", tmp_path / "table", "--json")
    document = json.loads(result.stdout)
    assert document.pop("seconds") > 0
    assert document == {"folder": str(tmp_path / "table"), "compared": True}


@pytest.mark.parametrize(
    ("source", "target", "problem"),
    [
        ("nowhere.keras", "out", r"nowhere\.keras: cannot be read: No such file"),
        ("model.keras", "", "exists already: name a new folder"),
        ("", "out", r"is a folder: name a \.keras or \.h5 file; a SavedModel needs no conversion"),
        ("lambda.keras", "out", "the Lambda layer 'double' is Python code inside the file: give --trust"),
    ],
)
def test_what_cannot_be_converted_is_one_line(tmp_path: Path, source: str, target: str, problem: str) -> None:
    write_keras(tmp_path / "model.keras", sequential())
    write_keras(tmp_path / "lambda.keras", sequential({"class_name": "Lambda", "config": {"name": "double"}}))
    result = run(tmp_path / source, tmp_path / target)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert re.search(problem, result.stderr)


@pytest.mark.process
def test_the_program_has_the_command() -> None:
    program = (sys.executable, "-m", "tfleet", "model", "convert", "--help")
    text = subprocess.run(program, check=True, capture_output=True, text=True, timeout=60).stdout
    assert "Usage: tfleet model convert [OPTIONS] IN OUT" in text
