"""A restored SavedModel as a frozen graph: its variables become constants.

TensorFlow folds what is computed of constants alone, a batch normalisation into the convolution before it
above all; it can't do so with variables, which somebody might assign to. No file is written.

The conversion is that of TensorFlow 1: it works in the session, follows the functions of a TensorFlow 2
SavedModel and keeps the tensors' names. That of TensorFlow 2 needs the eager runtime, a second copy of the
weights and three times as long, for a graph that runs no faster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from google.protobuf.message import Error  # type: ignore[import-untyped] # comes with TensorFlow, no types

from tfleet.worker.model.errors import first_line
from tfleet.worker.model.tensorflow import tf

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

# Handles of what lives no longer than a run. All others (tables, queues, ...) hold what was put there before.
_OF_ONE_RUN: Final = ("TensorArray", "Stack")
# What TensorFlow raises, here and there, on a graph that its conversion was not made for.
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
    """The graph has to stay as it is. The message says why, in a few words."""


def freeze(session: tf.compat.v1.Session, feed: str, fetch: str) -> tf.Graph:
    """What the session's graph computes from one tensor to the other, with constants for its variables.

    `feed` and `fetch` are their names, which they keep.

    Raises CannotFreezeError where the two would not be the same.
    """
    _check_assigns_nothing(session.graph.as_graph_def(), fetch)
    try:
        definition = tf.compat.v1.graph_util.convert_variables_to_constants(
            session, session.graph.as_graph_def(), [fetch.partition(":")[0]]
        )
        _keep_functions(definition, _functions_used(definition))
        graph = tf.Graph()
        with graph.as_default():
            tf.import_graph_def(definition, name="")
    except _FAILURES as error:
        raise CannotFreezeError(first_line(error)) from error
    names = {operation.name for operation in graph.get_operations()}
    if feed.partition(":")[0] not in names:
        raise CannotFreezeError(f"{fetch} does not depend on {feed}")
    _check_keeps_nothing(graph)
    return graph


def _check_assigns_nothing(definition: tf.compat.v1.GraphDef, fetch: str) -> None:
    """A graph that counts or learns while it answers has variables that are no constants."""
    part = tf.compat.v1.graph_util.extract_sub_graph(definition, [fetch.partition(":")[0]])
    used = _functions_used(part)
    bodies = (f.node_def for f in part.library.function if f.signature.name in used)
    for node in (node for nodes in (part.node, *bodies) for node in nodes):
        if node.op.startswith(("Assign", "ResourceScatter", "Scatter")) and node.op != "ScatterNd":
            raise CannotFreezeError(f"it assigns to a variable ({node.op})")


def _check_keeps_nothing(graph: tf.Graph) -> None:
    for operation in graph.get_operations():
        handles = any(t.dtype == tf.resource or t.dtype.base_dtype != t.dtype for t in operation.outputs)
        if handles and not operation.type.startswith(_OF_ONE_RUN):
            raise CannotFreezeError(f"it has a {operation.type}, which is no variable")


def _functions_used(definition: tf.compat.v1.GraphDef) -> frozenset[str]:
    """The functions that are called, directly or not: a SavedModel has more, to restore and save it."""
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
    for node in nodes:
        named = {node.op}
        for value in node.attr.values():
            named |= {value.func.name, *(each.name for each in value.list.func)}
        yield from named & bodies.keys()


def _keep_functions(definition: tf.compat.v1.GraphDef, names: frozenset[str]) -> None:
    kept = [function for function in definition.library.function if function.signature.name in names]
    del definition.library.function[:]
    definition.library.function.extend(kept)
