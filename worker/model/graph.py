"""Load a graph from its file: a frozen GraphDef, or a SavedModel restored into the session."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.message import DecodeError  # type: ignore[import-untyped] # comes with TensorFlow, no types

from tfleet.worker.model.errors import ModelError, first_line
from tfleet.worker.model.signature import Signature, read_signature
from tfleet.worker.model.tags import SERVING_TAGS
from tfleet.worker.model.tensorflow import tf

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

_INTERNAL: Final = "__saved_model_"  # signatures that the loader itself uses


def load_frozen(path: Path) -> tf.Graph:
    """The graph of a frozen GraphDef. Raises as `read_frozen` and `import_frozen` do."""
    return import_frozen(path, read_frozen(path))


def read_frozen(path: Path) -> tf.compat.v1.GraphDef:
    """Read a frozen GraphDef. Raises `ModelError` if the file is none."""
    definition = tf.compat.v1.GraphDef()
    try:
        definition.ParseFromString(path.read_bytes())
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    except DecodeError as error:
        raise ModelError(f"{path}: is not a frozen graph (a binary GraphDef), or is cut off") from error
    if not definition.node:  # an empty file and some garbage parse as a message without content
        raise ModelError(f"{path}: is not a frozen graph: it holds no operation")
    return definition


def import_frozen(path: Path, definition: tf.compat.v1.GraphDef) -> tf.Graph:
    """The graph of a definition that `path` has. Raises `ModelError` if TensorFlow cannot load it."""
    graph = tf.Graph()
    try:
        with graph.as_default():
            tf.import_graph_def(definition, name="")
    except (ValueError, TypeError, tf.errors.OpError) as error:
        raise ModelError(
            f"{path}: TensorFlow {tf.__version__} cannot load the graph: {first_line(error)}"
        ) from error
    return graph


@dataclass(frozen=True, slots=True)
class RestoredModel:
    """A SavedModel in a session: its signatures by name, and what sets its variables to their saved values
    again.
    """

    signatures: Mapping[str, Signature]
    restore: Callable[[], None]


def restore_saved_model(
    session: tf.compat.v1.Session, path: Path, tags: Sequence[str] = SERVING_TAGS
) -> RestoredModel:
    """Load a SavedModel of TensorFlow 1 or 2 with its variables into the session's empty graph.

    Raises `ModelError` if it has no graph with these tags, or if files are damaged or missing.
    """
    try:
        meta_graph = tf.compat.v1.saved_model.load(session, list(tags), str(path))
    except (OSError, RuntimeError, ValueError, TypeError, DecodeError, tf.errors.OpError) as error:
        raise ModelError(
            f"{path}: cannot load the SavedModel with tag {', '.join(map(repr, tags))}: {first_line(error)}"
        ) from error
    signatures = {
        name: read_signature(name, definition)
        for name, definition in sorted(meta_graph.signature_def.items())
        if not name.startswith(_INTERNAL)
    }
    saver: Any = meta_graph.saver_def

    def restore() -> None:
        if saver.restore_op_name:
            variables = str(path / "variables" / "variables")
            session.run(saver.restore_op_name, {saver.filename_tensor_name: variables})

    return RestoredModel(signatures, restore)
