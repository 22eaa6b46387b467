"""The made-up request for a signature."""

import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tfleet.contract.example_values import takes_rows
from tfleet.worker.model.example import curl_line, example_inputs
from tfleet.worker.model.signature import Signature, TensorInfo


def signature(**inputs: tuple[str, tuple[int | None, ...] | None]) -> Signature:
    infos = tuple(TensorInfo(name, f"{name}:0", dtype, shape) for name, (dtype, shape) in inputs.items())
    return Signature("serving_default", infos, ())


TABLE = signature(G1=("float32", (None, 1)), G2=("int64", (None,)))


def test_a_row_has_plain_values_for_columns() -> None:
    assert example_inputs(TABLE) == {"G1": 0.5, "G2": 1}


@pytest.mark.parametrize(
    ("dtype", "shape", "value"),
    [
        ("float32", (None, 3), [0.5, 0.5, 0.5]),
        ("string", (None,), "some text"),
        ("bool", (None, 1), True),
        ("uint8", (None, 2, 1), [[1], [1]]),
        ("bfloat16", (None, None), [0.5, 0.5, 0.5]),
        ("float32", (), 0.5),
        ("float32", (2, 1), [[0.5], [0.5]]),
        ("string", None, ["some text"]),
        ("float32", None, [0.5]),
    ],
)
def test_a_value_has_the_inputs_type_and_shape(
    dtype: str, shape: tuple[int | None, ...] | None, value: object
) -> None:
    assert example_inputs(signature(x=(dtype, shape))) == {"x": value}


def test_one_input_without_rows_makes_all_of_them_whole() -> None:
    mixed = signature(x=("float32", (None, 2)), keep=("float32", ()))
    assert not takes_rows(mixed.inputs)
    assert example_inputs(mixed) == {"x": [[0.5, 0.5]] * 3, "keep": 0.5}


def test_columns_are_named_where_they_have_names() -> None:
    assert example_inputs(signature(x=("float32", (None, 2))), ("age", "income")) == {
        "age": 0.5,
        "income": 0.5,
    }


def test_optional_inputs_are_left_out() -> None:
    optional = TensorInfo("keep", "keep:0", "float32", (), optional=True)
    assert example_inputs(Signature("s", (*TABLE.inputs, optional), ())) == {"G1": 0.5, "G2": 1}


def test_the_line_is_one_for_a_shell() -> None:
    assert curl_line(TABLE) == (
        "curl -H 'Content-Type: application/json' -d '{\"G1\": 0.5, \"G2\": 1}' localhost:12480/predict"
    )
    hostile = signature(**{"x'; rm -rf /": ("float32", (None,))})
    assert shlex.split(curl_line(hostile))[4] == '{"x\'; rm -rf /": 0.5}'


def test_the_line_names_a_signature_that_is_not_the_default() -> None:
    line = curl_line(TABLE, default=False, address="10.0.0.1:80")
    assert shlex.split(line)[-1] == "10.0.0.1:80/predict?signature=serving_default"


def test_an_image_model_gets_a_photograph() -> None:
    assert curl_line(TABLE, image=True) == "curl -F data=@photo.jpg localhost:12480"


def test_large_inputs_are_written_to_a_file_first(tmp_path: Path) -> None:
    large = signature(
        **{"it's": ("uint8", (None, 100)), "words": ("string", (None, 2)), "b": ("bfloat16", (None, None))}
    )
    line = curl_line(large)
    python, _, curl = line.partition(" && ")
    assert curl.endswith("--data-binary @row.npz localhost:12480/predict")
    subprocess.run([sys.executable, *shlex.split(python)[1:]], cwd=tmp_path, check=True)
    with np.load(tmp_path / "row.npz") as arrays:
        assert {name: (array.dtype.name, array.shape) for name, array in arrays.items()} == {
            "it's": ("uint8", (1, 100)),
            "words": ("str288", (1, 2)),
            "b": ("float32", (1, 3)),
        }
