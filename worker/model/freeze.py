"""Freeze a restored SavedModel: its variables become constants. No file is written.

TensorFlow computes in advance whatever depends on constants only; above all it folds a batch normalisation
into the convolution before it. It can't do that with variables, which could be assigned to.

This uses TensorFlow 1's conversion: it works in the session, follows the functions of a TensorFlow 2
SavedModel and keeps the tensors' names. TensorFlow 2's conversion needs the eager runtime, a second copy of
the weights and three times as long, for a graph that runs no faster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from google.protobuf.message import Error  # type: ignore[import-untyped] # comes with TensorFlow, no types

from tfleet.worker.model.errors import first_line
from tfleet.worker.model.tensorflow import tf

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

# Resources that live no longer than one run. All others (tables, queues, ...) hold state from before the run.
_OF_ONE_RUN: Final = ("TensorArray", "Stack")
# What TensorFlow raises on graphs that its conversion does not support.
_FAILURES: Final = (
    AttributeError,
    LookupError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
    Error,
    tf.errors.OpError,
)


class CannotFreezeError(Exception):
    """The graph cannot be frozen. The message says why, in a few words."""


def freeze(session: tf.compat.v1.Session, feed: str, fetch: str) -> tf.Graph:
    """A new graph that computes the tensor `fetch` from the tensor `feed`, with constants instead of
    variables.

    Both names stay valid in the new graph. Raises CannotFreezeError if the new graph would not compute the
    same.
    """
    # First, because the conversion would silently turn the variable into the value that it has now.
    _check_assigns_nothing(session.graph.as_graph_def(), fetch)
    try:
        definition = tf.compat.v1.graph_util.convert_variables_to_constants(
            session, session.graph.as_graph_def(), [fetch.partition(":")[0]]
        )
        # The functions that restore and save still name variables, and would fail the check below.
        _keep_functions(definition, _functions_used(definition))
        graph = tf.Graph()
        with graph.as_default():
            tf.import_graph_def(definition, name="")
    except _FAILURES as error:
        raise CannotFreezeError(first_line(error)) from error
    # The conversion drops what `fetch` does not need. Without the input every image would get the same
    # answer.
    names = {operation.name for operation in graph.get_operations()}
    if feed.partition(":")[0] not in names:
        raise CannotFreezeError(f"{fetch} does not depend on {feed}")
    _check_has_no_state(graph)
    return graph


def _check_assigns_nothing(definition: tf.compat.v1.GraphDef, fetch: str) -> None:
    """Raise CannotFreezeError if the graph assigns to a variable in a run: it counts or learns."""
    # Only the operations that `fetch` needs: a SavedModel assigns to every variable when it is restored.
    part = tf.compat.v1.graph_util.extract_sub_graph(definition, [fetch.partition(":")[0]])
    used = _functions_used(part)
    bodies = (f.node_def for f in part.library.function if f.signature.name in used)
    for node in (node for nodes in (part.node, *bodies) for node in nodes):
        # ScatterNd makes a new tensor; all other scatter operations write into a variable.
        if node.op.startswith(("Assign", "ResourceScatter", "Scatter")) and node.op != "ScatterNd":
            raise CannotFreezeError(f"it assigns to a variable ({node.op})")


def _check_has_no_state(graph: tf.Graph) -> None:
    """Raise CannotFreezeError if anything is left that keeps state between runs, such as a table."""
    for operation in graph.get_operations():
        # A resource handle, or a reference type of TensorFlow 1.
        handles = any(t.dtype == tf.resource or t.dtype.base_dtype != t.dtype for t in operation.outputs)
        if handles and not operation.type.startswith(_OF_ONE_RUN):
            raise CannotFreezeError(f"it has a {operation.type}, which is not a variable")


def _functions_used(definition: tf.compat.v1.GraphDef) -> frozenset[str]:
    """The functions that the graph calls, directly or not: a SavedModel has others that restore and save
    it.
    """
    bodies = {function.signature.name: function.node_def for function in definition.library.function}
    used: set[str] = set()
    pending = list(_called(definition.node, bodies))
    while pending:
        name = pending.pop()
        if name not in used:
            used.add(name)
            pending.extend(_called(bodies[name], bodies))
    return frozenset(used)


def _called(nodes: Iterable[tf.compat.v1.NodeDef], bodies: Mapping[str, Any]) -> Iterator[str]:
    # A function is called by an operation with its name, or named in an attribute (PartitionedCall, If,
    # While).
    for node in nodes:
        named = {node.op}
        for value in node.attr.values():
            named |= {value.func.name, *(each.name for each in value.list.func)}
        yield from named & bodies.keys()


def _keep_functions(definition: tf.compat.v1.GraphDef, names: frozenset[str]) -> None:
    kept = [function for function in definition.library.function if function.signature.name in names]
    del definition.library.function[:]
    definition.library.function.extend(kept)
