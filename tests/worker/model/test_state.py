"""A signature keeps state if a run of it writes into a variable, a table or a queue."""

from collections.abc import Callable
from typing import Any

import pytest

from tfleet.worker.model.state import assignment, needed
from tfleet.worker.model.tensorflow import tf

pytestmark = pytest.mark.process


def _definition(build: Callable[[Any], Any]) -> Any:
    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder(tf.float32, [None], name="x")
        tf.identity(build(x), name="y")
        tf.compat.v1.get_variable("other", initializer=1.0)  # whose initializer assigns
    return graph.as_graph_def()


def _variable(dtype: Any = tf.float32, resource: bool = True) -> Any:
    return tf.compat.v1.get_variable("v", [3], dtype, use_resource=resource)


def _through_a_function(x: Any) -> Any:
    variable = _variable()
    return tf.function(lambda: variable.assign_add(tf.ones([3])) + 1.0)() + tf.reduce_sum(x)


@pytest.mark.parametrize(
    ("build", "operation"),
    [
        (lambda x: x + 1, ""),
        (lambda x: x + _variable()[0], ""),
        (lambda x: tf.scatter_nd([[0]], x[:1], [3]), ""),
        (lambda x: tf.tensor_scatter_nd_add(tf.zeros([3]), [[0]], x[:1]), ""),
        (lambda x: _variable().assign_add(tf.ones([3])) + x, "AssignAddVariableOp"),
        (lambda x: tf.compat.v1.assign(_variable(resource=False), tf.ones([3])) + x, "Assign"),
        (lambda x: tf.compat.v1.scatter_add(_variable(resource=False), [0], x[:1]), "ScatterAdd"),
        (_through_a_function, "AssignAddVariableOp"),
    ],
)
def test_what_a_run_writes_is_found(build: Callable[[Any], Any], operation: str) -> None:
    assert assignment(_definition(build), ["x:0"], ["y:0"]) == operation


def test_a_write_before_what_is_fed_does_not_count() -> None:
    def build(x: Any) -> Any:
        return tf.identity(_variable().assign_add(tf.ones([3])), name="fed") + x

    assert assignment(_definition(build), ["x:0", "fed:0"], ["y:0"]) == ""


def test_control_inputs_are_needed_too() -> None:
    def build(x: Any) -> Any:
        with tf.control_dependencies([tf.compat.v1.assign(_variable(resource=False), tf.ones([3]))]):
            return tf.identity(x)

    definition = _definition(build)
    assert assignment(definition, ["x:0"], ["y:0"]) == "Assign"
    assert "x" not in {node.name for node in needed(definition.node, ["x:0"], ["y:0"])}
