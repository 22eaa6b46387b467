"""What a worker's page says of its model, and pages that no worker writes."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from tests.contract.openapi.models import DEFAULT, Tensor
from tfleet.contract.example_values import ShownExample
from tfleet.contract.openapi.described import (
    MOST_SIGNATURES,
    MOST_TENSORS,
    ModelPageError,
    SignatureDescription,
    read_model_page,
)

TENSOR = {"dtype": "float32", "shape": [None, 2]}
SIGNATURE = {"inputs": {"x": TENSOR}, "outputs": {"p": {"dtype": "int64", "shape": None}}, "example": "curl"}
PAGE: dict[str, Any] = {
    "name": "iris",
    "version": "1",
    "state": "ready",
    "kind": "table",
    "default_signature": DEFAULT,
    "labels": ["a", "b"],
    "columns": ["length", "width"],
    "signatures": {DEFAULT: SIGNATURE},
}


def test_a_page_becomes_a_description() -> None:
    found = read_model_page(PAGE)
    signature = SignatureDescription(
        DEFAULT, (Tensor("x", "float32", (None, 2)),), (Tensor("p", "int64", None),)
    )
    assert found.signatures == (signature,)
    assert found.default == signature
    assert (found.name, found.version, found.kind) == ("iris", "1", "table")
    assert (found.classes, found.columns) == (2, ("length", "width"))
    assert not found.takes_images
    assert read_model_page({**PAGE, "kind": "image"}).takes_images
    assert found.embedding == read_model_page({**PAGE, "embedding": None}).embedding == 0
    assert read_model_page({**PAGE, "embedding": {"size": 1280, "space": "a"}}).embedding == 1280


def test_an_optional_input_is_one() -> None:
    signature = {**SIGNATURE, "inputs": {"x": {**TENSOR, "optional": True}}}
    (found,) = read_model_page({**PAGE, "signatures": {DEFAULT: signature}}).signatures
    assert found.inputs[0].optional


def test_an_input_may_have_an_example() -> None:
    def read(example: Any) -> Any:
        inputs = {"x": {**TENSOR, "tf_example": example}}
        page = {**PAGE, "signatures": {DEFAULT: {**SIGNATURE, "inputs": inputs}}}
        return read_model_page(page).signatures[0].inputs[0].tf_example

    assert read({"features": {"a": [1, "b"]}, "b64": "CgA="}) == ShownExample((("a", (1, "b")),), "CgA=")
    assert read({"features": {"a": [1] * (MOST_TENSORS + 1)}, "b64": ""}) is None
    wrongs: list[Any] = [
        None,
        {"features": {}},
        {"features": [], "b64": ""},
        {"features": {}, "b64": "{}"},
        {"features": {"a": 1}, "b64": ""},
        {"features": {"a": [None]}, "b64": ""},
        {"features": {"a": [math.inf]}, "b64": ""},
        {"features": {"a": ["\ud800"]}, "b64": ""},
    ]
    for wrong in wrongs:
        with pytest.raises(ModelPageError):
            read(wrong)


def test_a_model_may_have_no_default_signature() -> None:
    found = read_model_page({**PAGE, "default_signature": None, "labels": None, "columns": None})
    assert (found.default_signature, found.default, found.classes, found.columns) == (None, None, 0, ())


def test_many_signatures_are_left_out_and_counted() -> None:
    signatures = {f"s{number:02}": SIGNATURE for number in range(20)} | {"z": SIGNATURE}
    found = read_model_page({**PAGE, "signatures": signatures, "default_signature": "z"})
    assert len(found.signatures) == MOST_SIGNATURES
    assert found.default is not None
    assert found.left_out == 21 - MOST_SIGNATURES


def test_a_signature_with_many_tensors_is_left_out() -> None:
    wide = {**SIGNATURE, "inputs": {f"x{number}": TENSOR for number in range(MOST_TENSORS)}}
    found = read_model_page({**PAGE, "signatures": {DEFAULT: wide, "s": SIGNATURE}})
    assert [each.name for each in found.signatures] == ["s"]
    assert (found.left_out, found.default) == (1, None)


def test_a_shape_of_very_many_dimensions_is_any() -> None:
    signature = {**SIGNATURE, "inputs": {"x": {"dtype": "bool", "shape": [1] * 33}}}
    (found,) = read_model_page({**PAGE, "signatures": {DEFAULT: signature}}).signatures
    assert found.inputs[0].shape is None


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ([], "the page is no object"),
        ({"name": None}, "name is no text"),
        ({"version": "x" * 513}, "version is no text of 1 to 512 characters"),
        ({"name": ""}, "name is no text of 1 to 512"),
        ({"kind": 1}, "kind is no text"),
        ({"signatures": {"\ud800": SIGNATURE}}, "the name of a signature is no text"),
        ({"default_signature": 1}, "default_signature is no text"),
        ({"labels": "a"}, "labels is no list"),
        ({"columns": [1]}, "columns is no text"),
        ({"embedding": 1280}, "embedding is no object"),
        ({"embedding": {"size": 0}}, "size of embedding is no number above 0"),
        ({"embedding": {"size": True}}, "size of embedding is no number above 0"),
        ({"signatures": None}, "signatures is no object"),
        ({"signatures": {"s": []}}, "signature 's' is no object"),
        ({"signatures": {"x" * 513: SIGNATURE}}, "the name of a signature is no text"),
        ({"signatures": {"s": {"inputs": {}}}}, "outputs of signature 's' is no object"),
        ({"signatures": {"s": {**SIGNATURE, "inputs": {"x": 1}}}}, "tensor 'x' is no object"),
        ({"signatures": {"s": {**SIGNATURE, "inputs": {"x": {"dtype": 1}}}}}, "dtype of tensor 'x'"),
        (
            {"signatures": {"s": {**SIGNATURE, "inputs": {"x": {**TENSOR, "shape": [-1]}}}}},
            "shape of tensor 'x' has something else than sizes and null",
        ),
        (
            {"signatures": {"s": {**SIGNATURE, "inputs": {"x": {**TENSOR, "shape": [True]}}}}},
            "shape of tensor 'x'",
        ),
        (
            {"signatures": {"s": {**SIGNATURE, "inputs": {"x": {**TENSOR, "optional": 1}}}}},
            "optional of tensor 'x' is neither true nor false",
        ),
    ],
)
def test_a_page_that_no_worker_writes_is_refused(wrong: Any, said: str) -> None:
    page = {**PAGE, **wrong} if isinstance(wrong, dict) else wrong
    with pytest.raises(ModelPageError, match=said):
        read_model_page(page)


def test_descriptions_can_be_compared() -> None:
    assert read_model_page(PAGE) == read_model_page(dict(PAGE))
    assert hash(read_model_page(PAGE)) == hash(read_model_page(dict(PAGE)))
    assert dataclasses.replace(read_model_page(PAGE), version="2") != read_model_page(PAGE)
