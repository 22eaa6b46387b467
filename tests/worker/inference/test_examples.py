"""Examples that come with a model are read, and warm it up."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.graphs import write_graph
from tests.support.tensor_models import write_arithmetic
from tfleet.worker.api.protocols.example_body import read_example
from tfleet.worker.inference.examples import find_examples, warm_up_requests
from tfleet.worker.inference.model_session import ModelSession
from tfleet.worker.inference.open_model import load_model
from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.find import find_model
from tfleet.worker.model.tensorflow import tf

pytestmark = pytest.mark.process


def _field(number: int, content: bytes) -> bytes:
    """A field of a protocol buffer that is shorter than 128 bytes, or its length in two bytes."""
    size = len(content)
    length = bytes([size]) if size < 128 else bytes([size & 0x7F | 0x80, size >> 7])
    return bytes([number << 3 | 2]) + length + content


def _request(signature: str, **inputs: Any) -> bytes:
    """A PredictionLog with a PredictRequest."""
    entries = [
        _field(2, _field(1, name.encode()) + _field(2, tf.make_tensor_proto(value).SerializeToString()))
        for name, value in inputs.items()
    ]
    return _field(
        6, _field(1, _field(1, _field(1, b"m") + _field(3, signature.encode())) + b"".join(entries))
    )


def _write_requests(path: Path, *records: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    return path


@pytest.fixture
def session(tmp_path: Path) -> Iterator[ModelSession]:
    with closing(ModelSession.load(find_model(write_arithmetic(tmp_path / "m")), cpus=1)) as session:
        yield session


def test_a_file_of_rows_is_read_row_by_row(session: ModelSession) -> None:
    rows = [{"a": 1, "b": 2}, {"a": 3, "b": 4}]
    (session.spec.path / "examples.json").write_text(json.dumps(rows))
    (found,) = find_examples(session, read_example).values()
    assert [{name: array.tolist() for name, array in row.items()} for row in found] == [
        {"a": [1], "b": [2]},
        {"a": [3], "b": [4]},
    ]


def test_an_example_that_does_not_fit_is_told(session: ModelSession) -> None:
    (session.spec.path / "examples.json").write_text('[{"a": 1, "b": "x"}]')
    with pytest.raises(ModelError, match=r"examples\.json: .*b"):
        find_examples(session, read_example)


def test_warm_up_requests_of_tensorflow_serving_are_read(session: ModelSession) -> None:
    ones = np.ones(2, np.float32)
    path = session.spec.path / "assets.extra" / "tf_serving_warmup_requests"
    _write_requests(
        path,
        _request("", a=ones, b=ones * 2),
        _request("scalar", x=np.float32(3)),
        _request("unknown", x=ones),
        _field(2, b""),  # a request to Classify
    )
    assert [name for name, _ in warm_up_requests(path)] == ["", "scalar", "unknown"]
    found = find_examples(session, read_example)
    assert {name: len(rows) for name, rows in found.items()} == {"serving_default": 2, "scalar": 1}
    assert found["serving_default"][0]["b"].tolist() == [2]


@pytest.mark.parametrize("content", [b"garbage that is no record", b"\x05" + bytes(7) + bytes(4) + b"12345"])
def test_garbage_is_no_file_of_requests(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "requests").write_bytes(content)
    with pytest.raises(ModelError, match="is no file of TensorFlow Serving's warm-up requests"):
        list(warm_up_requests(tmp_path / "requests"))


def test_a_model_is_warmed_up_with_its_examples(tmp_path: Path) -> None:
    def build() -> None:
        x = tf.compat.v1.placeholder(tf.float32, [None], name="x")
        with tf.control_dependencies([tf.debugging.assert_greater(x, 5.0)]):
            tf.identity(x, name="y")

    path = write_graph(tmp_path / "g.pb", build)
    (tmp_path / "examples.json").write_text('[{"x": 6}, {"x": 7}, {"x": 8}]')
    with closing(load_model(find_model(path), cpus=1, read_body=read_example)) as model:
        model.warm_up((1, 2))
        (check,) = model.checks
        assert check.batched
        assert model.predictor.batched == {"serving_default"}
