"""Models behind TensorFlow Serving's REST API: bodies as its clients send them, answers as TensorFlow
computes them.

Two models are those of TensorFlow Serving's own tests. They are kept beside the repository; without that
folder, as in a clone, their tests are skipped.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from google.protobuf import json_format  # type: ignore[import-untyped] # it ships no types
from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from tests.models.asked import loaded
from tests.models.golden_folder import SHARED
from tests.support.openapi import OpenApiDocument
from tests.support.tensor_models import (
    write_arithmetic,
    write_echo,
    write_examples_model,
    write_vocabulary,
)
from tests.support.worker_http import serving

HALF_PLUS_TWO = SHARED / "tfs_half_plus_two_cpu"
pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def half_plus_two() -> Iterator[str]:
    if not HALF_PLUS_TWO.is_dir():
        pytest.skip(f"{SHARED} is not there")
    with loaded(HALF_PLUS_TWO) as model, serving(model, name="half_plus_two") as (worker, _):
        yield f"{worker.url}/v1/models/half_plus_two"


@pytest.fixture(scope="module")
def ads(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Signatures that parse tf.Example."""
    path = write_examples_model(tmp_path_factory.mktemp("ads") / "1")
    with loaded(path) as model, serving(model, name="ads") as (worker, _):
        yield f"{worker.url}/v1/models/ads"


@pytest.fixture(scope="module")
def sums(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path = write_arithmetic(tmp_path_factory.mktemp("sums") / "1")
    with loaded(path) as model, serving(model, name="sums") as (worker, _):
        yield f"{worker.url}/v1/models/sums"


def post(url: str, body: str) -> Any:
    answer = requests.post(url, data=body, timeout=60)  # requests states no type for text
    assert answer.status_code == 200, answer.text
    return answer.text.strip()


def answered_examples(model: str) -> set[str]:
    """The paths of a document's examples, all of which are answered with 200."""
    server = model.partition("/v1/")[0]
    return OpenApiDocument.of(server).check_examples(server)


def test_every_example_for_half_plus_two_is_answered(half_plus_two: str) -> None:
    seen = answered_examples(half_plus_two)
    assert {"/v1/models/half_plus_two:classify", "/v1/models/half_plus_two:regress"} <= seen
    for name in ("regress_x_to_y", "regress_x_to_y2", "regress_x2_to_y3", "classify_x_to_y"):
        assert f"/models/half_plus_two/signatures/{name}/predict" in seen


def test_every_example_with_features_is_answered(ads: str) -> None:
    seen = answered_examples(ads)
    paths = {"/v1/models/ads:classify", "/v1/models/ads:predict", "/models/ads/signatures/scores/predict"}
    assert paths <= seen
    assert "/v1/models/ads:regress" not in seen


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        # the first is that of TensorFlow Serving's documentation: a vector for an input of shape [?, 1]
        ('{"instances": [1.0, 2.0, 5.0]}', '{"predictions":[2.5,3.0,4.5]}'),
        ('{"instances": [[1.0], [2.0]]}', '{"predictions":[[2.5],[3.0]]}'),
        ('{"instances": [{"x": 1.0}, {"x": 2}]}', '{"predictions":[2.5,3.0]}'),
        ('{"inputs": [[1.0], [2.0]]}', '{"outputs":[[2.5],[3.0]]}'),
        ('{"inputs": 3.0}', '{"outputs":3.5}'),
        ('{"inputs": {"x": [1.0, 2.0]}}', '{"outputs":[2.5,3.0]}'),
        ('{"instances": [1111111.0]}', '{"predictions":[555557.5]}'),
        ('{"instances": [NaN, -Infinity, 1e308]}', '{"predictions":[NaN,-Infinity,Infinity]}'),
        ('{"instances": [0.96, 1435774380]}', '{"predictions":[2.48,717887170.0]}'),
        ('{"signature_name": "serving_default", "instances": [1.0]} trailing', '{"predictions":[2.5]}'),
    ],
)
def test_half_plus_two_predicts_as_documented(half_plus_two: str, body: str, answer: str) -> None:
    assert post(f"{half_plus_two}:predict", body) == answer
    assert post(f"{half_plus_two}/versions/001:predict", body) == answer


@pytest.mark.parametrize(
    ("verb", "signature", "answer"),
    [
        ("regress", "regress_x_to_y", '{"results":[2.5,3.0]}'),
        ("regress", "regress_x_to_y2", '{"results":[3.5,4.0]}'),
        ("classify", "classify_x_to_y", '{"results":[[["",2.5]],[["",3.0]]]}'),
    ],
)
def test_half_plus_two_takes_examples(half_plus_two: str, verb: str, signature: str, answer: str) -> None:
    body = f'{{"signature_name": "{signature}", "examples": [{{"x": 1.0}}, {{"x": [2.0]}}]}}'
    assert post(f"{half_plus_two}:{verb}", body) == answer
    context = (
        f'{{"signature_name": "{signature}", "context": {{"x": 2.0}}, "examples": [{{"x": 1.0}}, {{}}]}}'
    )
    assert post(f"{half_plus_two}:{verb}", context) == answer


def test_a_feature_of_another_type_is_the_models_refusal(half_plus_two: str) -> None:
    body = '{"signature_name": "regress_x_to_y", "examples": [{"x": 1}]}'
    answer = requests.post(f"{half_plus_two}:regress", data=body, timeout=60)
    assert answer.status_code == 400
    assert "Data types don't match" in answer.json()["error"]


def test_half_plus_two_describes_itself(half_plus_two: str) -> None:
    status = requests.get(half_plus_two, timeout=60).json()["model_version_status"]
    assert [(each["version"], each["state"]) for each in status] == [("1", "AVAILABLE")]
    page = requests.get(f"{half_plus_two}/metadata", timeout=60).json()
    assert page["model_spec"]["version"] == "1"
    found = page["metadata"]["signature_def"]["signature_def"]
    assert found["serving_default"] == {
        "inputs": {"x": _tensor("DT_FLOAT", "x:0", "-1", "1")},
        "outputs": {"y": _tensor("DT_FLOAT", "y:0", "-1", "1")},
        "method_name": "tensorflow/serving/predict",
        "defaults": {},
    }
    assert found["regress_x_to_y"]["inputs"]["inputs"]["dtype"] == "DT_STRING"
    assert found["regress_x_to_y"]["method_name"] == "tensorflow/serving/regress"


@pytest.mark.parametrize("write", [write_arithmetic, write_echo, write_vocabulary, write_examples_model])
def test_metadata_are_the_signatures_that_tensorflow_saved(
    tmp_path: Path, write: Callable[[Path], Path]
) -> None:
    path = write(tmp_path / "1")
    with loaded(path) as model, serving(model, name="m") as (worker, _):
        answer = requests.get(f"{worker.url}/v1/models/m/metadata", timeout=60)
    found = answer.json()["metadata"]["signature_def"]["signature_def"]
    # ParseDict refuses what TensorFlow's message does not have.
    read = {name: json_format.ParseDict(each, SignatureDef()) for name, each in found.items()}
    saved = SavedModel.FromString((path / "saved_model.pb").read_bytes()).meta_graphs[0].signature_def
    assert read == {name: each for name, each in saved.items() if not name.startswith("__")}


def test_every_type_of_feature_reaches_the_model(ads: str) -> None:
    body = """{"signature_name": "scores", "context": {"site": "é"},
               "examples": [{"age": [1, -2], "price": 2.5}, {"age": [true, 9007199254740993], "price": [-0.5],
                                                            "site": {"b64": "/w=="}}]}"""
    answer = requests.post(f"{ads}:classify", data=body, timeout=60)
    assert answer.json() == {
        "results": [
            [["é", 2.5], ["-1", -1.0]],
            [[{"b64": "/w=="}, -0.5], ["9007199254740994", 9007199000000000.0]],
        ]
    }


def test_rows_of_several_inputs_and_outputs(sums: str) -> None:
    body = '{"instances": [{"a": 1, "b": 10}, {"a": 2.5, "b": 0.5}]}'
    assert (
        post(f"{sums}:predict", body) == '{"predictions":[{"diff":-9.0,"sum":11.0},{"diff":2.0,"sum":3.0}]}'
    )
    columns = '{"inputs": {"a": [1, 2.5], "b": [10, 0.5], "c": 5}}'
    assert post(f"{sums}:predict", columns) == '{"outputs":{"diff":[-9.0,2.0],"sum":[11.0,3.0]}}'
    assert (
        post(f"{sums}:predict", '{"signature_name": "scalar", "instances": [1, 2]}')
        == '{"predictions":[3.0,6.0]}'
    )


def test_every_type_of_tensor_passes_both_ways(sums: str) -> None:
    text = base64.b64encode(b"\xff").decode()
    body = f"""{{"signature_name": "mixed", "instances": [
        {{"half": [0.5, 3], "brain": [0.5, 3], "whole": 9007199254740993, "flag": true, "word": "a"}},
        {{"half": [0.1, 3], "brain": [0.1, 3], "whole": -1, "flag": false, "word": {{"b64": "{text}"}}}}]}}"""
    answer = requests.post(f"{sums}:predict", data=body, timeout=60)
    assert answer.json()["predictions"] == [
        {"half": [1.0, 6.0], "brain": [1.0, 6.0], "whole": 9007199254740994, "flag": False, "word": "a!"},
        {
            "half": [float(str(np.float16(0.2))), 6.0],
            "brain": [0.2, 6.0],
            "whole": 0,
            "flag": True,
            "word": {"b64": base64.b64encode(b"\xff!").decode()},
        },
    ]


def test_a_shape_that_the_model_cannot_take_is_refused(sums: str) -> None:
    answer = requests.post(f"{sums}:predict", data='{"inputs": {"a": [1, 2, 3], "b": [1, 2]}}', timeout=60)
    assert answer.status_code == 400
    assert "the model rejects the input" in answer.json()["error"]
    wide = '{"inputs": {"a": [[1], [2]], "b": [[1, 2]]}}'
    answer = requests.post(f"{sums}:predict", data=wide, timeout=60)
    assert answer.status_code == 400
    assert "different shapes" in answer.json()["error"]


def _tensor(dtype: str, name: str, *sizes: str) -> dict[str, Any]:
    dims = [{"size": size, "name": ""} for size in sizes]
    return {"dtype": dtype, "tensor_shape": {"dim": dims, "unknown_rank": False}, "name": name}
