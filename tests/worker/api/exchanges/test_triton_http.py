"""What the tests of Triton's HTTP server ask is answered as Triton does, or refused with the right status.

Triton answers 500 for a negative dimension, and 503 where its queue is full. Those are a 400 and a 429 here
(test_tfs_routes.py).
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.support.worker_http import MAX_BODY_BYTES
from tests.worker.api.exchanges.infer_forms import LENGTH
from tests.worker.api.exchanges.reported import NAME, reported_model
from tests.worker.api.exchanges.ways import Answer, Way, ways_to
from tests.worker.api.protocols.oip.bodies import binary, body, strings, tensor

pytestmark = pytest.mark.process

RAW = {LENGTH: "0"}


@pytest.fixture(scope="module")
def ways() -> Iterator[dict[str, Way]]:
    with ways_to(reported_model(), NAME) as found:
        yield found


def path(signature: str) -> str:
    return f"/v2/models/{NAME}/infer?signature={signature}"


def infer(way: Way, signature: str, content: bytes, length: str | None = None) -> Answer:
    return way.post(path(signature), content, {} if length is None else {LENGTH: length})


def tail(answer: Answer) -> bytes:
    assert answer.status == 200, answer.body
    return answer.body[int(answer.headers[LENGTH]) :]


def error(answer: Answer, status: int = 400) -> str:
    assert answer.status == status, answer.body
    text: str = json.loads(answer.body)["error"]
    return text


@pytest.mark.parametrize("count", [8, 32])
def test_a_raw_body_of_any_length_comes_back(way: Way, count: int) -> None:
    sent = np.arange(count, dtype=np.float32).tobytes()
    assert tail(infer(way, "float321", sent, "0")) == sent


def test_a_raw_string_comes_back_behind_its_length(way: Way) -> None:
    assert tail(infer(way, "string1", b"427", "0")) == strings(b"427")


def test_several_raw_strings_are_refused(way: Way) -> None:
    assert "one string" in error(infer(way, "string3", b"427", "0"))


def test_a_raw_shape_that_does_not_follow_is_refused(way: Way) -> None:
    assert "don't follow" in error(infer(way, "float163", np.ones((2, 2), np.float16).tobytes(), "0"))


def test_a_raw_body_for_three_inputs_is_refused(way: Way) -> None:
    assert "it has 3" in error(infer(way, "three", np.arange(24, dtype=np.float32).tobytes(), "0"))


def test_a_chunked_body_is_taken(way: Way) -> None:
    sent = np.arange(8, dtype=np.float32).tobytes()
    head = body(tensor("x", "FP32", [8], np.frombuffer(sent, np.float32).tolist()))
    for content, headers in ((sent, RAW), (head, {})):
        connection = http.client.HTTPConnection(way.address.host, way.address.port, timeout=20)
        pieces = (content[start : start + 7] for start in range(0, len(content), 7))
        chunked = {**headers, "Transfer-Encoding": "chunked"}
        connection.request("POST", path("float321"), pieces, chunked, encode_chunked=True)
        answer = connection.getresponse()
        assert answer.status == 200
        assert (sent in answer.read()) == bool(headers)
        connection.close()


def test_a_body_in_an_unknown_transfer_coding_is_refused(way: Way) -> None:
    for coding in ("compress", "deflate", "gzip"):
        connection = http.client.HTTPConnection(way.address.host, way.address.port, timeout=20)
        connection.request("POST", path("float321"), b"{}", {"Transfer-Encoding": coding})
        answer = connection.getresponse()
        assert answer.status in {400, 501}
        assert json.loads(answer.read())["error"]
        connection.close()


@pytest.mark.parametrize("shape", [[2**4, 2**60 + 2], [2**2, 2**60 + 2], [2**62, 4], [2**31, 2**31]])
def test_a_shape_that_overflows_is_refused(way: Way, shape: Any) -> None:
    in_json = infer(way, "float322", body(tensor("x", "FP32", shape, [1.0])))
    assert f"data has 1 value, and the shape {shape} has" in error(in_json)
    in_binary = infer(way, "float322", *binary("FP32", shape, bytes(4)))
    assert "and 4 were sent" in error(in_binary)


def test_a_negative_dimension_is_refused(way: Way) -> None:
    assert "shape has -5" in error(infer(way, "float322", body(tensor("x", "FP32", [2, -5], [1.0]))))


def test_a_large_model_in_a_request_is_refused(way: Way) -> None:
    load = f"/v2/repository/models/{NAME}/load"
    files = {"parameters": {"config": "{}", "file:1/model.onnx": "QUFB"}}
    assert error(way.post(load, json.dumps(files).encode()))
    files["parameters"]["file:1/model.onnx"] = "A" * MAX_BODY_BYTES
    assert error(way.post(load, json.dumps(files).encode()), 413)


@pytest.mark.parametrize(("signature", "kind", "value"), [("string2", "BYTES", "a"), ("int641", "INT64", 1)])
@pytest.mark.parametrize("depth", [50, 120, 2000])
def test_lists_deeper_than_the_shape_are_refused(
    way: Way, signature: str, kind: str, value: Any, depth: int
) -> None:
    document = json.dumps({"inputs": [tensor("x", kind, [1, 1], [value])]}).replace(
        f"[{json.dumps(value)}]", "[" * depth + json.dumps(value) + "]" * depth
    )
    assert error(infer(way, signature, document.encode()))


def test_an_output_that_is_asked_for_twice_is_refused(way: Way) -> None:
    twice = body(tensor("x", "FP32", [8], [*range(8)]), outputs=[{"name": "y"}] * 2)
    assert "has 'y' twice" in error(infer(way, "float321", twice))
    one = body(tensor("x", "FP32", [8], [*range(8)]), outputs=[{"name": "y"}])
    assert infer(way, "float321", one).status == 200, "and the server goes on"


@pytest.mark.parametrize("length", ["-1", str(2**31), str(2**63), "1" * 400, "8.5"])
def test_a_length_of_json_that_cannot_be_is_refused(way: Way, length: str) -> None:
    assert LENGTH in error(infer(way, "float321", body(tensor("x", "FP32", [1], [1])), length))


def test_data_and_bytes_that_do_not_fill_the_shape_are_refused(way: Way) -> None:
    assert "has 2" in error(infer(way, "float321", body(tensor("x", "FP32", [2], [1.0]))))
    for data in (bytes(7), bytes(9)):
        assert "8 bytes" in error(infer(way, "float321", *binary("FP32", (2,), data)))
    content, length = binary("FP32", (2,), bytes(8))
    assert error(infer(way, "float321", content + b"more", length))
    assert "beyond" in error(infer(way, "string1", *binary("BYTES", (1,), b"\xff\xff\xff\x7fa")))
