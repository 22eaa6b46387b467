"""What a request asks for beside its tensors."""

import json
from typing import Any

import pytest

from tests.worker.api.protocols.oip.bodies import body, read, refused, tensor
from tests.worker.api.protocols.signatures import column
from tfleet.worker.api.protocols.oip.request import RequestedOutput

MODEL = column("float32")
X = tensor("x", "FP32", [1], [1.0])


def test_an_id_is_kept_and_none_stays_none() -> None:
    assert read(body(X, id="42"), MODEL).wanted.id == "42"
    assert read(body(X), MODEL).wanted.id is None
    assert read(body(X, id=None), MODEL).wanted.id is None
    assert "id is 7" in refused(body(X, id=7), MODEL)


def test_null_is_a_missing_key() -> None:
    found = read(body({**X, "parameters": None}, outputs=None, parameters=None), MODEL)
    assert found.wanted.outputs == ()


@pytest.mark.parametrize(
    ("everywhere", "own", "binary"),
    [(None, None, False), (True, None, True), (True, False, False), (False, True, True), (None, True, True)],
)
def test_an_output_says_itself_whether_it_is_binary(
    everywhere: bool | None, own: bool | None, binary: bool
) -> None:
    asked = {"name": "y", "parameters": {"binary_data": own}}
    found = read(body(X, outputs=[asked], parameters={"binary_data_output": everywhere}), MODEL)
    assert found.wanted.outputs == (RequestedOutput("y", binary),)


def test_all_outputs_may_be_binary() -> None:
    assert read(body(X, parameters={"binary_data_output": True}), MODEL).wanted.binary_output
    assert not read(body(X), MODEL).wanted.binary_output


def test_what_nobody_knows_is_ignored() -> None:
    sent = body(
        {**X, "note": [1, {"a": 2}]}, model_name="m", parameters={"priority": 3, "mine": "x", "timeout": 5}
    )
    assert read(sent, MODEL).inputs["x"].tolist() == [1.0]
    outputs = [{"name": "y", "parameters": {"mine": "x", "other": 100, "flag": True}}]
    assert read(body(X, outputs=outputs), MODEL).wanted.outputs == (RequestedOutput("y", False),)


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ({"outputs": {}}, "outputs is an object"),
        ({"outputs": ["y"]}, "an element of outputs is the string 'y'"),
        ({"outputs": [{}]}, "the name null"),
        ({"outputs": [{"name": "y"}, {"name": "y"}]}, "'y' twice"),
        ({"outputs": [{"name": "y", "parameters": []}]}, "parameters is a list"),
        ({"outputs": [{"name": "y", "parameters": {"binary_data": 1}}]}, "true or false"),
        ({"outputs": [{"name": "y", "parameters": {"classification": 0}}]}, "a number of classes from 1"),
        ({"outputs": [{"name": "y", "parameters": {"classification": -1}}]}, "a number of classes from 1"),
        ({"outputs": [{"name": "y", "parameters": {"classification": "3"}}]}, "a number of classes from 1"),
        ({"outputs": [{"name": "y", "parameters": {"shared_memory_region": "r"}}]}, "shared memory"),
        ({"parameters": [1]}, "parameters is a list"),
        ({"parameters": {"binary_data_output": "yes"}}, "true or false"),
        ({"parameters": {"sequence_id": 7}}, "no sequences"),
        ({"parameters": {"sequence_start": True}}, "no sequences"),
    ],
)
def test_what_cannot_be_followed_is_refused(others: dict[str, Any], said: str) -> None:
    assert said in refused(body(X, **others), MODEL)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no body"),
        (b"{", "not JSON"),
        (b"[]", "a list"),
        (b"null", "null"),
        (b'{"inputs": null}', "inputs is null"),
        (b'{"inputs": {}}', "inputs is an object"),
        (b'{"inputs": [7]}', "an element of inputs is 7"),
        (b'{"inputs": [{"name": 7}]}', "the name 7"),
        (b'{"instances": [1.0]}', "inputs is null"),
        (b'{"inputs": ' + b"[" * 2000 + b"]" * 2000 + b"}", "not JSON"),
        (b'{"x": ' + b'{"a":' * 2000 + b"1" + b"}" * 2000 + b"}", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b'{"inputs": [{"name": "\\ud800"}]}', "datatype"),
    ],
)
def test_what_is_no_request_is_refused(content: bytes, said: str) -> None:
    assert said in refused(content, MODEL)


def test_tensors_in_shared_memory_are_refused() -> None:
    for parameters in (
        {"shared_memory_region": "r", "shared_memory_byte_size": 4},
        {"shared_memory_region": None},
    ):
        sent = {"name": "x", "datatype": "FP32", "shape": [1], "parameters": parameters}
        assert "shared memory" in refused(json.dumps({"inputs": [sent]}).encode(), MODEL)
