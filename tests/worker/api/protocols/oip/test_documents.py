"""Metadata, configuration, statistics and index of the Open Inference Protocol."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.worker.api.protocols.signatures import MIXED, Shape, info, signature
from tfleet.worker.api.protocols.oip import documents
from tfleet.worker.api.protocols.oip.documents import DescribedModel
from tfleet.worker.metrics import PredictionTotals, StageTimes
from tfleet.worker.model.signature import Signature

Y = info("y", "float32", (None, 2))


def described(model: Signature, *, maps_rows: bool = True, version: str = "7") -> DescribedModel:
    return DescribedModel("wine", version, documents.GRAPH, model, maps_rows, 100, 2)


@pytest.mark.parametrize(
    ("dtype", "shape", "kind", "sizes"),
    [
        ("float32", (None, 3), "FP32", [-1, 3]),
        ("bfloat16", (), "BF16", []),
        ("string", (None,), "BYTES", [-1]),
        ("int64", None, "INT64", [-1]),
        ("complex64", (2,), "COMPLEX64", [2]),
    ],
)
def test_a_tensor_has_a_name_a_datatype_and_a_shape(dtype: str, shape: Shape, kind: str, sizes: Any) -> None:
    found = documents.model_metadata(described(signature(info("x", dtype, shape), outputs=[Y])))
    assert found == {
        "name": "wine",
        "versions": ["7"],
        "platform": "tensorflow_graphdef",
        "inputs": [{"name": "x", "datatype": kind, "shape": sizes}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 2]}],
    }


def test_a_configuration_of_rows_leaves_out_their_dimension() -> None:
    rows = signature(info("x", "string", (None, 3)), outputs=[Y])
    found = documents.model_configuration(described(rows))
    assert found["max_batch_size"] == 100
    assert found["input"] == [{"name": "x", "data_type": "TYPE_STRING", "dims": [3], "optional": False}]
    assert found["output"] == [{"name": "y", "data_type": "TYPE_FP32", "dims": [2]}]
    assert found["version_policy"] == {"specific": {"versions": [7]}}


@pytest.mark.parametrize(
    ("model", "maps_rows"), [(MIXED, True), (signature(info("x", "int8", (2, 3))), False)]
)
def test_a_configuration_without_a_batch_has_all_sizes(model: Signature, maps_rows: bool) -> None:
    found = documents.model_configuration(described(model, maps_rows=maps_rows))
    assert found["max_batch_size"] == 0
    assert [each["dims"] for each in found["input"]] in ([[-1], [-1, 1]], [[2, 3]])


def test_only_a_version_that_is_a_number_is_one_in_the_policy() -> None:
    latest = {"latest": {"num_versions": 1}}
    numbered = {"specific": {"versions": [7]}}
    for version, policy in (("007", numbered), ("v1", latest), ("9" * 19, latest), ("\u0661", latest)):
        found = documents.model_configuration(described(MIXED, version=version))
        assert found["version_policy"] == policy


def test_a_dtype_that_triton_has_not_is_invalid_there() -> None:
    found = documents.model_configuration(described(signature(info("x", "complex64", (2,)), outputs=[Y])))
    assert found["input"][0]["data_type"] == "TYPE_INVALID"


def test_an_image_model_says_which_input_takes_images() -> None:
    model = replace(described(signature(info("x", "float32", (None, 2)), outputs=[Y])), image_input="x")
    assert documents.model_metadata(model)["parameters"] == {"image_input": "x"}
    assert documents.model_configuration(model)["parameters"] == {
        "signature": {"string_value": "serving_default"},
        "image_input": {"string_value": "x"},
    }


def test_statistics_are_sums_of_all_requests() -> None:
    totals = PredictionTotals()
    totals.add(StageTimes(1.0, 2.0, 3.0, batch=2, rows=5), 1000.5)
    totals.add(StageTimes(1.0, 0.0, 3.0, batch=2), 1001.25)
    totals.add_failure(7.0)
    (found,) = documents.model_statistics("wine", "7", totals)["model_stats"]
    assert (found["name"], found["version"], found["last_inference"]) == ("wine", "7", 1_001_250)
    assert (found["inference_count"], found["execution_count"]) == (6, 1)
    assert found["inference_stats"]["success"] == {"count": 2, "ns": 10_000_000}
    assert found["inference_stats"]["fail"] == {"count": 1, "ns": 7_000_000}
    assert found["inference_stats"]["queue"] == {"count": 2, "ns": 2_000_000}
    assert found["inference_stats"]["compute_input"] == {"count": 2, "ns": 2_000_000}
    assert found["inference_stats"]["compute_infer"] == {"count": 2, "ns": 6_000_000}
    assert found["inference_stats"]["compute_output"] == {"count": 0, "ns": 0}
