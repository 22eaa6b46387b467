"""The inputs and outputs of a graph without signatures."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.graphs import pixel_graph, write_graph
from tfleet.worker.model.frozen_signature import frozen_signature, named_tensor
from tfleet.worker.model.saved_model_proto import read_graph
from tfleet.worker.model.signature import TensorInfo
from tfleet.worker.model.tensorflow import tf

pytestmark = pytest.mark.process


def _read(path: Path, build: Any) -> Any:
    return read_graph(write_graph(path / "graph.pb", build))


def two_of_each() -> None:
    x = tf.compat.v1.placeholder(tf.float32, [None, 4], name="x")
    keep = tf.compat.v1.placeholder_with_default(1.0, [], name="keep")
    tf.multiply(x, keep, name="scaled")
    tf.strings.as_string(x, name="texts")
    tf.constant(3, name="unused")


def test_placeholders_are_inputs_and_unused_results_outputs(tmp_path: Path) -> None:
    found = frozen_signature(_read(tmp_path, two_of_each))
    assert found.inputs == (
        TensorInfo("keep", "keep:0", "float32", (), optional=True),
        TensorInfo("x", "x:0", "float32", (None, 4)),
    )
    assert [info.name for info in found.outputs] == ["scaled", "texts"]


def test_the_counter_of_an_old_loop_is_no_output(tmp_path: Path) -> None:
    def loop() -> None:
        x = tf.compat.v1.placeholder(tf.float32, [], name="x")
        tf.compat.v1.disable_control_flow_v2()
        _, total = tf.compat.v1.while_loop(lambda i, t: i < 3, lambda i, t: (i + 1, t + x), (0, x))
        tf.identity(total, name="total")

    assert [info.name for info in frozen_signature(_read(tmp_path, loop)).outputs] == ["total"]


def test_a_tensor_is_found_with_and_without_its_number(tmp_path: Path) -> None:
    graph = _read(tmp_path, pixel_graph)
    assert named_tensor(graph, "image:0") == TensorInfo("image", "image:0", "float32", (None, 8, 8, 3))
    assert named_tensor(graph, "shares") == TensorInfo("shares", "shares:0", "float32", None)
    assert named_tensor(graph, "other:0") is None
