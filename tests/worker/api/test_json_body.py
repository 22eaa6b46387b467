import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfleet.worker.api.json_body import BadJsonError, read_json_image

PICTURE = bytes(range(256))
B64 = base64.b64encode(PICTURE).decode()


def refusal(document: Any) -> str:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    with pytest.raises(BadJsonError) as refused:
        read_json_image(body)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 300
    return str(refused.value)


@pytest.mark.parametrize(
    "document",
    [
        {"image": {"b64": B64}},
        {"data": {"b64": B64}},
        {"data": f"data:image/jpeg;base64,{B64}"},
        {"image": f"data:;base64,{B64}"},
        {"image": f"DATA:image/png;name=a.png;BASE64,{B64}"},
        {"image": B64},
        {"data": "", "image": B64},
        {"data": None, "image": {"b64": B64}},
        {"data": {"b64": ""}, "image": B64},
    ],
)
def test_each_form_of_an_image_is_read(document: Any) -> None:
    assert read_json_image(json.dumps(document).encode()) == PICTURE


def test_line_breaks_and_a_byte_order_mark_are_accepted() -> None:
    text = json.dumps({"image": base64.encodebytes(PICTURE).decode()})
    assert read_json_image(text.encode("utf-8-sig")) == PICTURE
    assert read_json_image(text.encode("utf-16")) == PICTURE


@given(picture=st.binary(min_size=1, max_size=500))
def test_the_body_is_read_unchanged(picture: bytes) -> None:
    text = json.dumps({"image": {"b64": base64.b64encode(picture).decode()}})
    assert read_json_image(text.encode()) == picture


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe\x00\xd8", "not JSON"),
        (b"\xe9", "not valid JSON"),
        ([B64], "is not an object"),
        (B64, "is not an object"),
        ({}, "is empty"),
        ({"data": ""}, "data is empty"),
        ({"data": None, "image": ""}, "data, image is empty"),
        ({"image": {"b64": "  "}}, "image.b64 is empty"),
        ({"image": 5}, "image is not a string"),
        ({"image": [B64]}, "image is not a string"),
        ({"image": {"b64": [B64]}}, "image.b64 is not a string"),
        ({"image": {"b64": 1.5e300}}, "image.b64 is not a string"),
        ({"image": B64, "data": B64}, "data and image both have a value"),
        ({"image": B64, "top": 3}, "has unknown keys ('top')"),
        ({"instances": [{"b64": B64}]}, "has unknown keys ('instances')"),
        ({"image": {"b64": B64, "type": "image/png"}}, "image has unknown keys ('type')"),
        ({"image": {"base64": B64}}, "image has unknown keys ('base64')"),
        (b'{"image": "QQ==", "image": "Qg=="}', "'image' occurs twice"),
        ({"data": "data:image/svg+xml,%3Csvg"}, "data: URL without base64"),
        ({"image": "cat.jpg"}, "image is not base64"),
        ({"image": "https://a.example/cat.jpg"}, "image is not base64"),
        ({"image": "QUJ"}, "image is not base64 (Incorrect padding)"),
        ({"image": "QQ==QQ=="}, "image is not base64"),
        ({"data": {"b64": "QUéD"}}, "data.b64 is not base64 (character 2 is"),
        ({"data": {"b64": "\ud800"}}, "data.b64 is not base64"),
    ],
)
def test_an_unknown_form_of_document_is_refused_and_named(document: Any, said: str) -> None:
    assert said in refusal(document)


@pytest.mark.parametrize(
    "bomb",
    [
        b"[" * 1_000_000,
        b'{"a":' * 1_000_000,
        b'{"image":[' + b"{}," * 1_000_000 + b"0]}",
        b'{"image":' + b"9" * 1_000_000 + b"}",
        b'{"image":0.' + b"9" * 1_000_000 + b"}",
        b'{"' + b"a" * 1_000_000 + b'":1}',
    ],
    ids=["arrays", "objects", "many objects", "long number", "long fraction", "long key"],
)
def test_a_document_that_costs_too_much_is_refused(bomb: bytes) -> None:
    refusal(bomb)


@given(body=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_garbage_is_refused_without_other_errors(body: bytes) -> None:
    refusal(body)
