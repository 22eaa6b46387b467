"""Freeze a restored SavedModel: its variables become constants. No file is written.

TensorFlow computes in advance whatever depends on constants only; above all it folds a batch normalisation
into the convolution before it. It can't do that with variables, which could be assigned to.

This uses TensorFlow 1's conversion: it works in the session, follows the functions of a TensorFlow 2
SavedModel and keeps the tensors' names. TensorFlow 2's conversion needs the eager runtime, a second copy of
the weights and three times as long, for a graph that runs no faster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from google.protobuf.message import Error  # type: ignore[import-untyped] # comes with TensorFlow, no types

from tfleet.worker.model.errors import first_line
from tfleet.worker.model.state import assignment, called_functions, node_name
from tfleet.worker.model.tensorflow import tf

if TYPE_CHECKING:
    from collections.abc import Collection

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


def freeze(
    session: tf.compat.v1.Session,
    definition: tf.compat.v1.GraphDef,
    feeds: Collection[str],
    fetches: Collection[str],
) -> tf.Graph:
    """A new graph that computes the tensors `fetches` from the tensors `feeds`, with constants instead of
    variables.

    `definition` is that of the session's graph. All names stay valid in the new
    graph. Raises CannotFreezeError if it would not compute the same.
    """
    # First, because the conversion would silently turn the variable into the value that it has now.
    if operation := assignment(definition, feeds, fetches):
        raise CannotFreezeError(f"it assigns to a variable ({operation})")
    # The feeds are named, too: the conversion drops what is not needed, and an input may be without effect.
    kept = dict.fromkeys(node_name(tensor) for tensor in (*fetches, *feeds))
    try:
        definition = tf.compat.v1.graph_util.convert_variables_to_constants(session, definition, list(kept))
        # The functions that restore and save still name variables, and would fail the check below.
        _keep_used_functions(definition)
        graph = tf.Graph()
        with graph.as_default():
            tf.import_graph_def(definition, name="")
    except _FAILURES as error:
        raise CannotFreezeError(first_line(error)) from error
    _check_has_no_state(graph)
    return graph


def _check_has_no_state(graph: tf.Graph) -> None:
    """Raise CannotFreezeError if anything is left that keeps state between runs, such as a table."""
    for operation in graph.get_operations():
        # A resource handle, or a reference type of TensorFlow 1.
        handles = any(t.dtype == tf.resource or t.dtype.base_dtype != t.dtype for t in operation.outputs)
        if handles and not operation.type.startswith(_OF_ONE_RUN):
            raise CannotFreezeError(f"it has a {operation.type}, which is not a variable")


def _keep_used_functions(definition: tf.compat.v1.GraphDef) -> None:
    bodies = {function.signature.name: function.node_def for function in definition.library.function}
    names = called_functions(definition.node, bodies)
    kept = [function for function in definition.library.function if function.signature.name in names]
    del definition.library.function[:]
    definition.library.function.extend(kept)
