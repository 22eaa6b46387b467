"""The OpenAPI document of any models: it is valid, says what each takes, and names what it leaves out."""

from __future__ import annotations

import copy
import dataclasses
import json
from typing import Any

import pytest

from tests.contract.openapi.models import ADS, DEFAULT, EVERY, IMAGE, IRIS, ODD, TABLE, Tensor, server
from tests.support.openapi import OpenApiDocument
from tfleet.contract.openapi.described import ModelDescription, SignatureDescription
from tfleet.contract.openapi.document import LEFT_OUT, LeftOut, ServerDescription, openapi_document
from tfleet.contract.openapi.pages import proxy_pages, worker_pages
from tfleet.contract.openapi.places import ServedVersion, places


def document(*models: ModelDescription, labels: tuple[str, ...] = ()) -> OpenApiDocument:
    served = [ServedVersion(each, for_all=index == 0, labels=labels) for index, each in enumerate(models)]
    return OpenApiDocument(openapi_document(server(), served))


def asked(found: OpenApiDocument, path: str, method: str = "POST", kind: str = "application/json") -> Any:
    """The schema of a request's body."""
    return found.resolved(found.operation(method, path)["requestBody"])["content"][kind]["schema"]


def answered(found: OpenApiDocument, path: str, method: str = "POST") -> Any:
    """The schema of an answer with status 200."""
    said = found.resolved(found.operation(method, path)["responses"]["200"])
    return said["content"]["application/json"]["schema"]


@pytest.mark.process
@pytest.mark.parametrize("model", EVERY, ids=lambda model: model.kind)
def test_the_document_of_a_model_is_valid(model: ModelDescription) -> None:
    document(model, labels=("stable", "a/b")).check()


@pytest.mark.process
def test_the_document_of_a_fleet_is_valid() -> None:
    document(*EVERY, labels=("stable",)).check()
    OpenApiDocument(openapi_document(server(), [])).check()


@pytest.mark.parametrize("for_operators", [True, pytest.param(False, marks=pytest.mark.process)])
def test_the_document_of_a_proxy_is_valid(for_operators: bool) -> None:
    proxy = ServerDescription("A proxy.", "1.0", proxy_pages(for_operators=for_operators), redirects=True)
    found = OpenApiDocument(openapi_document(proxy, [ServedVersion(TABLE, for_all=True)]))
    found.check()
    assert (("GET", "/workers") in found.operations) is for_operators
    assert "307" in found.operation("POST", "/predict")["responses"]
    assert "307" not in found.operation("POST", "/v2/models/wine/infer")["responses"]


def test_making_a_document_changes_nothing() -> None:
    pages = worker_pages()
    before = copy.deepcopy(pages)
    made = [
        json.dumps(openapi_document(ServerDescription("A worker.", "1.0", pages), [ServedVersion(TABLE)]))
        for _ in range(2)
    ]
    assert made[0] == made[1]
    assert pages == before


def test_operations_have_different_ids() -> None:
    alike = [dataclasses.replace(TABLE, name=name) for name in ("a b", "a_b", "a/b", "a__2", "a")]
    found = document(*alike)
    ids = [each["operationId"] for item in found.content["paths"].values() for each in item.values()]
    assert len(ids) == len(set(ids))


def test_versions_that_are_written_alike_share_nothing() -> None:
    alike = [dataclasses.replace(TABLE, name=name) for name in ("a b", "a/b")]
    keys = {each.key for each in places([ServedVersion(model) for model in alike])}
    assert len(keys) == 2
    (place,) = places([ServedVersion(ODD)])
    assert len(set(place.signature_keys.values())) == len(ODD.signatures)


def test_two_versions_have_their_own_paths() -> None:
    other = dataclasses.replace(IRIS, name="wine", version="2")
    served = [
        ServedVersion(TABLE, labels=("stable",)),
        ServedVersion(other, for_model=False, labels=("canary",)),
    ]
    found = OpenApiDocument(openapi_document(server(), served))
    row = {"length": 1.0, "width": 2.0}
    assert found.faults(asked(found, "/models/wine/versions/2"), row) == []
    assert found.faults(asked(found, "/models/wine/labels/canary"), row) == []
    for path in ("/models/wine", "/models/wine/versions/1", "/models/wine/labels/stable"):
        assert found.faults(asked(found, path), row) != []


def test_a_table_takes_rows_and_columns() -> None:
    found = document(TABLE)
    schema = asked(found, "/models/wine/predict")
    for right in (
        {"G1": 1.5, "G2": 3},
        {"G1": 1.5, "G2": 3, "G3": True},
        [{"G1": 1.5, "G2": 3}],
        {"G1": [1.5, 2], "G2": [3, 4]},
    ):
        assert found.faults(schema, right) == []
    wrongs: list[Any] = [
        {"G1": 1.5},
        {"G1": 1.5, "G2": 3.5},
        {"G1": 1, "G2": 2**63},
        [],
        {"G1": 1, "G2": 1, "G4": 1},
    ]
    for wrong in wrongs:
        assert found.faults(schema, wrong) != []
    names = [each.get("name") for each in found.operation("GET", "/predict")["parameters"]]
    assert names[:2] == ["G1", "G2"]


def test_a_model_with_an_embedding_has_its_paths() -> None:
    found = document(IMAGE, labels=("stable",))
    places = ("", "/models/lite0", "/models/lite0/versions/1", "/models/lite0/labels/stable")
    for place in places:
        schema = answered(found, f"{place}/embed")
        vector = {"success": True, "outputs": {"embedding": [0.5] * 1280}}
        assert found.faults(schema, vector) == []
        assert found.faults(schema, {"success": True, "outputs": {"embedding": [0.5] * 3}}) != []
    signature = dataclasses.replace(IMAGE.signatures[0], embedding=0)
    plain = document(dataclasses.replace(IMAGE, signatures=(signature,)))
    assert not [path for _, path in plain.operations if path.endswith("/embed")]


def test_named_columns_are_those_of_the_one_input() -> None:
    found = document(IRIS)
    schema = asked(found, "/predict")
    for right in ({"length": 1, "width": 2}, {"length": [1], "width": [2]}, {"x": [1, 2]}):
        assert found.faults(schema, right) == []
    assert found.faults(schema, {"x": [1, 2, 3]}) != []
    assert found.operation("POST", "/predict")["parameters"][0]["schema"]["maximum"] == 3
    one = {"success": True, "predictions": [{"label": "a", "probability": 0.5}]}
    assert found.faults(answered(found, "/predict"), one) == []


def test_outputs_have_their_shapes() -> None:
    found = document(TABLE)
    schema = answered(found, "/models/wine/predict")
    rights: list[Any] = [[0.5], [[0.5], [1]]]
    for score in rights:
        assert found.faults(schema, {"success": True, "outputs": {"score": score}}) == []
    wrongs: list[Any] = [0.5, [0.5, 1], [["a"]]]
    for score in wrongs:
        assert found.faults(schema, {"success": True, "outputs": {"score": score}}) != []
    assert found.faults(schema, {"success": True, "outputs": {}}) != []


def test_an_output_without_rows_keeps_its_shape() -> None:
    outputs = (Tensor("total", "int64", (2,)), Tensor("any", "string", None))
    signature = SignatureDescription(DEFAULT, (Tensor("x", "float32", (None,)),), outputs)
    found = document(dataclasses.replace(TABLE, signatures=(signature,)))
    schema = answered(found, "/predict")
    for total, fits in (([1, 2], True), (1, False), ([[1, 2]], False), ([1.5, 2], False)):
        said = {"success": True, "outputs": {"total": total, "any": [["a"], [{"b64": "/w=="}]]}}
        assert (found.faults(schema, said) == []) is fits


def test_an_image_model_takes_images() -> None:
    found = document(IMAGE)
    content = found.resolved(found.operation("POST", "/")["requestBody"])["content"]
    assert set(content) == {"multipart/form-data", "image/*", "application/json"}
    assert ("GET", "/predict") not in found.operations
    assert found.faults(answered(found, "/"), [["cat", 0.5]]) == []
    assert found.faults(answered(found, "/"), [["cat"]]) != []


def test_tensorflow_serving_takes_rows_or_tensors() -> None:
    found = document(TABLE)
    schema = asked(found, "/v1/models/wine:predict")
    row = {"G1": 1, "G2": 3}
    for right in (
        {"instances": [row]},
        {"signature_name": DEFAULT, "instances": [row]},
        {"inputs": {"G1": [1], "G2": [[3]], "other": 1}},
        {"signature_name": "double", "inputs": 4},
    ):
        assert found.faults(schema, right) == []
    wrongs: list[Any] = [
        {"instances": []},
        {"instances": [row], "inputs": row},
        {"signature_name": "x", "inputs": 4},
    ]
    for wrong in wrongs:
        assert found.faults(schema, wrong) != []


def test_only_what_answers_examples_is_asked_with_them() -> None:
    paths = {path for _, path in document(TABLE, IMAGE).operations}
    assert not any(path.endswith((":classify", ":regress")) for path in paths)
    found = document(ADS)
    for action, names in (("classify", ["classes", "unknown"]), ("regress", [DEFAULT])):
        schema = asked(found, f"/v1/models/ads:{action}")
        assert schema["properties"]["signature_name"] == {"enum": names}
        unnamed = {"examples": [{"age": [1, 2]}], "context": {"site": "a"}}
        assert (found.faults(schema, unnamed) == []) is (action == "regress")
        assert found.faults(schema, {**unnamed, "signature_name": names[0]}) == []
        assert found.faults(schema, {"signature_name": names[0], "examples": []}) != []


def test_examples_of_features_are_those_of_the_model() -> None:
    shown = [(path, value) for _, path, _, _, value in document(ADS).examples()]
    assert ("/v1/models/ads:regress", {"examples": [{"age": [1, 1]}]}) in shown
    assert (
        "/v1/models/ads:classify",
        {"signature_name": "classes", "examples": [{"age": [1, 1]}]},
    ) in shown
    assert ("/models/ads/predict", {"inputs": [{"b64": "CgA="}]}) in shown
    assert ("/v1/models/ads:predict", {"inputs": {"inputs": [{"b64": "CgA="}]}}) in shown
    tensor = {"datatype": "BYTES", "shape": [1], "parameters": {"content_type": "base64"}, "data": ["CgA="]}
    assert ("/v2/models/ads/infer", {"inputs": [{"name": "inputs", **tensor}]}) in shown


def test_unknown_features_have_no_example() -> None:
    shown = list(document(ADS).examples())
    assert not any("unknown" in json.dumps([path, value]) for _, path, _, _, value in shown)
    # A text classifier is no regression, so it takes texts.
    texts = {path for _, path, _, _, value in shown if "some text" in json.dumps(value)}
    assert "/models/ads/signatures/text" in texts


def test_labels_that_are_no_text_are_in_base64() -> None:
    said = answered(document(ADS), "/v1/models/ads:classify")
    assert document(ADS).faults(said, {"results": [[["a", 0.5], [{"b64": "/w=="}, 1]]]}) == []
    assert document(ADS).faults(said, {"results": [[[1, 0.5]]]}) != []


@pytest.mark.parametrize("path", ["/v1/models/ads:predict", "/v1/models/ads:regress", "/v2/models/ads/infer"])
def test_bodies_below_v1_and_v2_may_be_compressed(path: str) -> None:
    found = document(ADS)
    said = found.operation("POST", path)
    names = {found.resolved(each)["name"] for each in said["parameters"]}
    assert {"Content-Encoding", "Accept-Encoding"} <= names
    assert "Content-Encoding" in found.resolved(said["responses"]["200"])["headers"]
    native = found.operation("POST", "/models/ads/predict")
    assert not any("Encoding" in each.get("$ref", "") for each in native["parameters"])


def test_the_inference_protocol_takes_named_tensors() -> None:
    found = document(TABLE)
    schema = asked(found, "/v2/models/wine/infer")
    right = {"name": "x", "datatype": "FP64", "shape": [], "data": [4.0]}
    assert found.faults(schema, {"inputs": [right]}) == []
    for wrong in ({"name": "z"}, {"datatype": "FP32"}, {"shape": [-1]}, {"data": ["a"]}):
        assert found.faults(schema, {"inputs": [{**right, **wrong}]}) != []


def test_every_example_fits_its_schema() -> None:
    found = document(*EVERY)
    examples = list(found.examples())
    assert len(examples) > 30
    for method, path, _, schema, value in examples:
        assert found.faults(schema, value) == [], (method, path, value)


def test_types_without_a_form_in_json_are_sent_as_npy() -> None:
    waves = SignatureDescription(
        DEFAULT, (Tensor("x", "complex64", (None,)),), (Tensor("y", "complex64", (None,)),)
    )
    found = document(dataclasses.replace(TABLE, signatures=(waves,)))
    operation = found.operation("POST", "/predict")
    for said in (operation["requestBody"], operation["responses"]["200"]):
        content = found.resolved(said)["content"]
        assert set(content) == {"application/x-npy", "application/x-npz"}
    paths = {path for _, path in found.operations}
    assert paths.isdisjoint({"/v1/models/wine:predict", "/v2/models/wine/infer"})


def test_long_examples_are_left_out() -> None:
    long = SignatureDescription(DEFAULT, (Tensor("x", "float32", (None, 65)),), ())
    found = document(dataclasses.replace(TABLE, signatures=(long,)))
    shown = {path for _, path, *_ in found.examples()}
    assert shown == {"/v2/repository/index"}


def test_an_empty_tensor_has_no_example() -> None:
    empty = SignatureDescription(DEFAULT, (Tensor("x", "float32", (None, 0, 10**12)),), ())
    found = document(dataclasses.replace(TABLE, signatures=(empty,)))
    assert {path for _, path, *_ in found.examples()} == {"/v2/repository/index"}


def test_a_model_called_stats_hides_no_page() -> None:
    found = document(dataclasses.replace(TABLE, name="stats"))
    assert found.operation("GET", "/v2/models/stats")["tags"] == ["server"]
    assert found.operation("GET", "/v2/models/stats/versions/1")["tags"] == ["stats"]


def test_what_is_not_described_is_named() -> None:
    reason = "no worker of it answered: see GET /workers"
    found = openapi_document(server(LeftOut("beer", "2", reason)), [ServedVersion(ODD)])
    OpenApiDocument(found).check()
    assert [(each["model"], each["version"]) for each in found[LEFT_OUT]] == [
        ("beer", "2"),
        (ODD.name, "v 1"),
    ]
    assert found[LEFT_OUT][0]["reason"] == reason
    assert LEFT_OUT in found["info"]["description"]
    assert LEFT_OUT not in openapi_document(server(), [ServedVersion(TABLE)])


def test_a_model_has_a_bounded_part() -> None:
    tensors = tuple(Tensor(f"column_{number:03}", "float32", (None,)) for number in range(128))
    outputs = tuple(dataclasses.replace(each, name=f"out_{each.name}") for each in tensors)
    signatures = tuple(SignatureDescription(f"s{number}", tensors, outputs) for number in range(8))
    wide = dataclasses.replace(TABLE, default_signature="s0", signatures=signatures)
    size = len(json.dumps(document(wide).content))
    assert size < 2_000_000
    assert len(json.dumps(document(TABLE).content)) < 100_000
