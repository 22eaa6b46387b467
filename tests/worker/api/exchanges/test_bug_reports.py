"""What users of TensorFlow Serving, Triton, KServe and MLServer have reported of them works here.

Reports about models themselves and about whole fleets have tests beside those: test_tfs_models.py,
test_predictor.py (tensorflow/serving#1538, #1279, #276) and test_plan.py (kserve/kserve#2130).
"""

from __future__ import annotations

import base64
import gzip
import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.support.worker_http import MAX_BODY_BYTES
from tests.worker.api.exchanges.infer_forms import LENGTH
from tests.worker.api.exchanges.reported import NAME, reported_model
from tests.worker.api.exchanges.ways import Answer, Way, ways_to
from tests.worker.api.protocols.oip.bodies import body, tensor

pytestmark = pytest.mark.process

BAD_BODIES = (
    b"",
    b"{",
    b"[]",
    b"\xff",
    b'{"instances": [[1], 2]}',
    b'{"inputs": {"x": "\\ud800"}}',
    b"0" * 300,
)


@pytest.fixture(scope="module")
def ways() -> Iterator[dict[str, Way]]:
    with ways_to(reported_model(), NAME) as found:
        yield found


def predict(way: Way, signature: str, members: str, **headers: str) -> Answer:
    """`:predict` with these members of the body."""
    document = f'{{"signature_name": "{signature}", {members}}}'.encode()
    return way.post(f"/v1/models/{NAME}:predict", document, headers)


def infer(way: Way, signature: str, *inputs: Any, **others: Any) -> Answer:
    return way.post(f"/v2/models/{NAME}/infer?signature={signature}", body(*inputs, **others))


def error(answer: Answer, status: int = 400) -> str:
    assert answer.status == status, answer.body
    assert answer.headers["Content-Type"] == "application/json"
    text: str = json.loads(answer.body)["error"]
    return text


def outputs(answer: Answer) -> Any:
    assert answer.status == 200, answer.body
    return json.loads(answer.body)["outputs"]


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        ("555557.5", b"[555557.5]"),  # tensorflow/serving#1332: not 555558
        ("1111111.0", b"[1111111.0]"),
        ("0.0000006", b"[6e-7]"),  # tensorflow/serving#1014: never 6e-07.0
        ("1e20", b"[1e+20]"),
    ],
)
def test_a_float_is_written_with_all_its_digits(way: Way, sent: str, text: bytes) -> None:
    assert text in predict(way, "float321", f'"instances": [{sent}]').body
    (output,) = outputs(infer(way, "float321", tensor("x", "FP32", [1], [float(sent)])))
    assert np.float32(output["data"][0]) == np.float32(sent)


def test_a_float_is_rounded_and_not_refused(way: Way) -> None:  # tensorflow/serving#1136
    for members in ('"instances": [0.96, 1435774380]', '"inputs": [0.96, 1435774380]'):
        (found,) = json.loads(predict(way, "float321", members).body).values()
        assert np.asarray(found, np.float32).tolist() == np.array([0.96, 1435774380], np.float32).tolist()


@pytest.mark.parametrize("content", BAD_BODIES)
@pytest.mark.parametrize("path", ["v1/models/{}:predict", "v1/models/{}:classify", "v2/models/{}/infer"])
def test_every_error_is_json(way: Way, path: str, content: bytes) -> None:  # tensorflow/serving#1600
    assert error(way.post("/" + path.format(NAME), content))


def test_nan_drops_no_element(way: Way) -> None:
    # triton-inference-server/server#3711, #3870, openvinotoolkit/model_server#4337, SeldonIO/MLServer#1346
    (found,) = json.loads(predict(way, "nan", '"instances": [1, 2]').body).values()
    flat = [*found[0], *found[1]]
    (output,) = outputs(infer(way, "nan", tensor("x", "FP32", [2], [1, 2])))
    for values in (flat, output["data"]):
        assert (values[0], math.isnan(values[1]), values[2:]) == (1.0, True, [math.inf, 4.0])
    sent = json.loads(predict(way, "float321", '"inputs": [NaN, Infinity]').body)["outputs"]
    assert (math.isnan(sent[0]), sent[1]) == (True, math.inf)


def test_zero_detections_are_an_empty_list(way: Way) -> None:  # tensorflow/serving#1610, #1662
    assert json.loads(predict(way, "none", '"instances": [1]').body) == {"predictions": []}
    found = json.loads(predict(way, "none", '"inputs": [1]').body)
    assert found == {"outputs": {"boxes": [], "classes": []}}
    boxes, classes = outputs(infer(way, "none", tensor("x", "FP32", [1], [1])))
    assert (boxes["shape"], boxes["data"], classes["shape"]) == ([0, 4], [], [0])
    assert "an empty list" in error(predict(way, "float321", '"instances": []'))


def test_outputs_of_different_lengths_come_in_columns(way: Way) -> None:  # tensorflow/serving#1047
    found = json.loads(predict(way, "uneven", '"inputs": [1]').body)["outputs"]
    assert {name: len(values) for name, values in found.items()} == {"a": 2, "b": 3}
    said = error(predict(way, "uneven", '"instances": [1]'))
    assert "the output 'b' has inconsistent batch size" in said
    assert '{"inputs": ...}' in said


def test_a_switch_for_all_rows_is_sent_in_columns(way: Way) -> None:  # tensorflow/serving#1036, #1199
    said = error(predict(way, "dropout", '"instances": [{"x": 1, "training": false}]'))
    assert '{"inputs": {"training": VALUE, ...}}' in said
    assert predict(way, "dropout", '"inputs": {"x": [1, 2], "training": false}').status == 200


def test_the_alphabet_of_base64_is_named(way: Way) -> None:  # tensorflow/serving#1141
    text = base64.urlsafe_b64encode(b"\xff\xef").decode()
    assert "the alphabet is the one with + and /" in error(
        predict(way, "string1", f'"instances": [{{"b64": "{text}"}}]')
    )
    sent = tensor("x", "BYTES", [1], [text], content_type="base64")
    assert "the alphabet is the one with + and /" in error(infer(way, "string1", sent))


def test_bytes_for_a_float_are_told_its_dtype_and_shape(way: Way) -> None:
    # tensorflow/serving#1317, #2104: a model of images decodes them, see test_images.py
    assert "x float32[?, 2]" in error(predict(way, "float322", '"instances": [{"b64": "aGVsbG8="}]'))
    assert "the model takes FP32" in error(infer(way, "float322", tensor("x", "BYTES", [1], ["a"])))


def test_half_floats_are_json_numbers_both_ways(way: Way) -> None:
    # tensorflow/serving#1639, triton-inference-server/server#5960, kserve/kserve#3643
    assert json.loads(predict(way, "float161", '"instances": [0.1, 2]').body) == {"predictions": [0.1, 2.0]}
    (output,) = outputs(infer(way, "float161", tensor("x", "FP16", [2], [0.1, 2])))
    assert (output["datatype"], output["data"]) == ("FP16", [0.1, 2.0])


def test_strings_may_be_nested_in_their_shape(way: Way) -> None:  # triton-inference-server/server#4405
    for data in ([["a"], ["b"]], ["a", "b"]):
        (output,) = outputs(infer(way, "string2", tensor("x", "BYTES", [2, 1], data)))
        assert (output["shape"], output["data"]) == ([2, 1], ["a", "b"])


def test_bytes_in_json_are_base64_and_say_so(way: Way) -> None:
    # triton-inference-server/server#2520, #1649, kserve/open-inference-protocol#12
    sent = tensor("x", "BYTES", [2], ["/w==", "YQ=="], content_type="base64")
    (output,) = outputs(infer(way, "string1", sent))
    assert (output["parameters"], output["data"]) == ({"content_type": "base64"}, ["/w==", "YQ=="])
    assert "send a list of sizes" in error(infer(way, "string1", {**sent, "shape": "-1"}))


def test_binary_output_holds_for_listed_outputs(way: Way) -> None:  # kserve/kserve#5908
    others = {"outputs": [{"name": "y"}], "parameters": {"binary_data_output": True}}
    answer = infer(way, "float321", tensor("x", "FP32", [1], [1.5]), **others)
    assert answer.body[int(answer.headers[LENGTH]) :] == np.float32(1.5).tobytes()


def test_strings_are_bytes_and_an_id_is_never_null(way: Way) -> None:  # kserve/kserve#6204, #3094
    answer = infer(way, "text", tensor("x", "FP32", [1], [1]), id=None)
    (output,) = outputs(answer)
    assert (output["datatype"], output["data"]) == ("BYTES", ["cat", "h\u00e9"])
    assert "id" not in json.loads(answer.body)


def test_a_compressed_answer_says_so(way: Way) -> None:  # triton-inference-server/server#5185
    rows = json.dumps({"instances": [0.5] * 1000}).encode()
    for path, content in (
        (f"/v1/models/{NAME}:predict", rows),
        (f"/v2/models/{NAME}/infer", body(tensor("x", "FP32", [1000], [0.5] * 1000))),
    ):
        answer = way.post(path, content, {"Accept-Encoding": "gzip"})
        assert answer.headers["Content-Encoding"] == "gzip"
        assert b"0.5,0.5,0.5" in gzip.decompress(answer.body)


def test_gzip_is_taken_and_bounded(way: Way) -> None:  # tensorflow/serving#1091, #4136
    sent, gzipped = gzip.compress(b'{"instances": [0.5]}'), {"Content-Encoding": "gzip"}
    assert b"[0.5]" in way.post(f"/v1/models/{NAME}:predict", sent, gzipped).body
    bomb = gzip.compress(b" " * (MAX_BODY_BYTES + 1))
    assert "larger than" in error(way.post(f"/v1/models/{NAME}:predict", bomb, gzipped), 413)


def test_rows_of_unequal_length_are_refused(way: Way) -> None:  # tensorflow/serving#1538, #1279, #276
    assert "row 1" in error(predict(way, "float322", '"instances": [[1, 2], [3]]'))
    assert "list of 1 value" in error(infer(way, "float322", tensor("x", "FP32", [2, 2], [[1, 2], [3]])))


def test_a_large_image_in_json_is_bounded(way: Way) -> None:  # tensorflow/serving#1991, #578
    values = b"0.5," * (MAX_BODY_BYTES // 4)
    assert "bytes" in error(way.post(f"/v1/models/{NAME}:predict", b'{"inputs": [' + values + b"1]}"), 413)
