"""What becomes of a body of `:classify` and `:regress`. What TensorFlow parses of it: test_tfs_models.py."""

import json
import struct
from typing import Any

import pytest

from tests.worker.api.protocols.signatures import info, signature
from tfleet.contract.problem import ProblemError
from tfleet.worker.api.protocols.limits import InputLimits
from tfleet.worker.api.protocols.tfs.examples import decode_examples, read_examples
from tfleet.worker.model.example_proto import example_bytes
from tfleet.worker.model.signature import Signature

LIMITS = InputLimits()
MODEL = signature(info("inputs", "string", (None,)))


def read(body: str, model: Signature = MODEL, limits: InputLimits = LIMITS) -> list[bytes]:
    found: list[bytes] = decode_examples(read_examples(body.encode(), limits), model, limits)[
        "inputs"
    ].tolist()
    return found


def test_an_example_is_the_message_of_tensorflow() -> None:
    feature = b"\n\x01x" + b"\x12\x08" + b"\x12\x06\n\x04" + struct.pack("<f", 1.5)
    assert example_bytes({"x": [1.5]}) == b"\n\x0f\n\x0d" + feature
    assert example_bytes({}) == b"\n\x00"
    assert example_bytes({"x": []}) == b"\n\x07\n\x05\n\x01x\x12\x00"
    assert example_bytes({"x": [-1]}).endswith(b"\x1a\x0c\n\x0a" + b"\xff" * 9 + b"\x01")
    assert example_bytes({"x": [300]}).endswith(b"\x1a\x04\n\x02\xac\x02")
    assert example_bytes({"x": [b"ab", b""]}).endswith(b"\n\x06\n\x02ab\n\x00")
    many = [0, -1, 300, 127, 128, 2**63 - 1, -(2**63)] * 3
    assert example_bytes({"x": many}).endswith(example_bytes({"x": many[:7]})[-35:] * 3)
    long = example_bytes({"x": [b"a" * 200]})
    assert long.endswith(b"\n\xcb\x01\n\xc8\x01" + b"a" * 200)


@pytest.mark.parametrize(
    ("value", "values"),
    [
        ("46", [46]),
        ("[46, -9223372036854775808, 9223372036854775807]", [46, -(2**63), 2**63 - 1]),
        ("true", [1]),
        ("[true, 2]", [1, 2]),
        ("46.0", [46.0]),
        ("[1.5, NaN]", [1.5, float("nan")]),
        ("1e308", [float("inf")]),
        ("-Infinity", [float("-inf")]),
        ("18446744073709551616", [2.0**64]),
        ('"é"', ["é".encode()]),
        ('["a", {"b64": "/w=="}]', [b"a", b"\xff"]),
        ('{"b64": "/w"}', [b"\xff"]),
        ("[]", []),
    ],
)
def test_a_feature_has_the_type_of_its_values(value: str, values: Any) -> None:
    assert read(f'{{"examples": [{{"f": {value}}}]}}') == [example_bytes({"f": values})]


def test_a_context_is_part_of_each_example() -> None:
    body = '{"context": {"country": "ch", "age": 1}, "examples": [{"age": 2}, {"name": "a:b"}, {}]}'
    assert read(body) == [
        example_bytes({"country": [b"ch"], "age": [2]}),
        example_bytes({"country": [b"ch"], "age": [1], "name": [b"a:b"]}),
        example_bytes({"country": [b"ch"], "age": [1]}),
    ]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("{}", "'examples' must be a list with at least one example, and it is null"),
        ('{"examples": []}', "an empty list"),
        ('{"examples": {"f": 1}}', "an object"),
        ('{"examples": [1]}', "example 0 (the first is 0) must be an object of features, and it is 1"),
        ('{"examples": [{}], "context": []}', "context must be an object"),
        ('{"examples": [{"f": [10, 10.0]}]}', "write 10.0 and not 10"),
        ('{"examples": [{"f": [1, "a"]}]}', "'bytes', 'int64'"),
        ('{"examples": [{}, {"f": null}]}', "example 1 (the first is 0): feature 'f' has null"),
        ('{"examples": [{"f": [[1]]}]}', "has a list"),
        ('{"examples": [{"f": {"x": 1}}]}', "has an object"),
        ('{"examples": [{"f": {"b64": 5}}]}', "has an object"),
        ('{"examples": [{"f": {"b64": "!"}}]}', "not base64"),
        ('{"examples": [{"f": 9223372036854775808}]}', "out of range"),
        ('{"examples": [{"f": 1e400}]}', "out of range"),
        ('{"examples": [{"f": "\\ud800"}]}', "surrogate"),
        ('{"examples": [{"\\ud800": 1}]}', "surrogate"),
        ('{"examples": [{"f": 1, "f": 2}]}', "'f' occurs twice"),
        ('{"examples": [{"f": 1}], "signature_name": 1}', "must be a string"),
        ("[1]", "not an object"),
    ],
)
def test_a_wrong_body_is_told_why(body: str, said: str) -> None:
    with pytest.raises(ProblemError) as error:
        read(body)
    assert (error.value.problem.status, said in error.value.problem.detail) == (400, True)


@pytest.mark.parametrize(
    "model",
    [
        signature(info("inputs", "float32", (None,))),
        signature(info("x", "string", (None,))),
        signature(info("inputs", "string", (None,)), info("x", "string", (None,))),
        signature(),
    ],
)
def test_a_signature_without_examples_is_told(model: Signature) -> None:
    with pytest.raises(ProblemError, match="takes no examples"):
        read('{"examples": [{"f": 1}]}', model)


def test_the_context_counts_in_each_example() -> None:
    few = InputLimits(json_objects=10)
    assert len(read('{"context": {"f": 1, "g": 2}, "examples": [{"h": 1}, {"h": 1}, {}]}', limits=few)) == 3
    with pytest.raises(ProblemError, match="have 12 features, 12 of them by the context") as raised:
        read('{"context": {"f": 1, "g": 2, "h": 3}, "examples": [{}, {}, {}, {}]}', limits=few)
    assert raised.value.problem.status == 413


def test_examples_are_read_while_somebody_waits() -> None:
    document = read_examples(b'{"examples": [' + b",".join([b"{}"] * 2_500) + b"]}", LIMITS)
    asked: list[None] = []

    def check_wanted() -> None:
        asked.append(None)
        if len(asked) == 3:
            raise TimeoutError

    with pytest.raises(TimeoutError):
        decode_examples(document, MODEL, LIMITS, check_wanted)


def test_a_large_context_is_not_multiplied_beyond_the_limit() -> None:
    body = json.dumps({"context": {"f": "a" * 1000}, "examples": [{}] * 100})
    with pytest.raises(ProblemError) as error:
        read(body, limits=InputLimits(tensor_bytes=50_000))
    assert error.value.problem.status == 413
    assert len(read(body)) == 100
