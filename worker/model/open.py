"""Open a model in a new session with all its signatures, frozen where that is possible."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tfleet.worker.model.freeze import CannotFreezeError, freeze
from tfleet.worker.model.graph import SERVING_TAGS, load_frozen, restore_saved_model
from tfleet.worker.model.served_signatures import served_signatures
from tfleet.worker.model.state import assignment
from tfleet.worker.model.tensorflow import tf

if TYPE_CHECKING:
    from tfleet.worker.model.signature import Signature
    from tfleet.worker.model.spec import ModelSpec


@dataclass(frozen=True, slots=True)
class OpenModel:
    """A session with the signatures of its graph. The caller owns the session and closes it.

    `default` is the signature for requests that name none; None where there is none. `form` says in a few
    words what became of a SavedModel's variables; it is empty for a frozen graph.
    """

    session: tf.compat.v1.Session
    signatures: Mapping[str, Signature] = field(repr=False)
    default: str | None
    form: str = ""


def open_model(spec: ModelSpec, make_session: Callable[[tf.Graph], Any]) -> OpenModel:
    """Open the model in a session that `make_session` creates. Raises `ModelError`; no session is left
    open then.
    """
    return _open_saved_model(spec, make_session) if spec.path.is_dir() else _open_graph(spec, make_session)


def _open_graph(spec: ModelSpec, make_session: Callable[[tf.Graph], Any]) -> OpenModel:
    graph = load_frozen(spec.path)
    served = served_signatures(spec, graph, None)
    signatures = _with_state(spec, graph.as_graph_def(), served.by_name)
    return OpenModel(make_session(graph), signatures, served.default)


def _open_saved_model(spec: ModelSpec, make_session: Callable[[tf.Graph], Any]) -> OpenModel:
    """Open a SavedModel: frozen in a second session, or with its variables in the session that restored
    it.
    """
    graph = tf.Graph()
    session = make_session(graph)
    keep_session = False
    try:
        own = restore_saved_model(session, spec.path, spec.serving.tags or SERVING_TAGS)
        served = served_signatures(spec, graph, own)
        definition = graph.as_graph_def()
        signatures = _with_state(spec, definition, served.by_name)
        try:
            if spec.serving.stateful:
                raise CannotFreezeError(spec.setting("model.stateful", "--stateful"))
            frozen = freeze(session, definition, *_tensors(signatures))
        except CannotFreezeError as error:
            keep_session = True
            form = f"a SavedModel with its variables: {error}"
            return OpenModel(session, signatures, served.default, form)
    finally:
        # Closed before the second session opens: otherwise the weights would be in memory twice.
        if not keep_session:
            session.close()
    return OpenModel(make_session(frozen), signatures, served.default, "a SavedModel, frozen")


def _with_state(
    spec: ModelSpec, definition: tf.compat.v1.GraphDef, signatures: Mapping[str, Signature]
) -> Mapping[str, Signature]:
    """The signatures, each of which knows whether it keeps state."""
    stated = spec.serving.stateful
    found = {}
    for name, each in signatures.items():
        stateful = bool(assignment(definition, *_tensors({name: each}))) if stated is None else stated
        found[name] = replace(each, stateful=stateful)
    return found


def _tensors(signatures: Mapping[str, Signature]) -> tuple[frozenset[str], frozenset[str]]:
    """The names of the tensors that the signatures take, and of those that they give."""
    feeds = {info.tensor for each in signatures.values() for info in each.inputs}
    fetches = {info.tensor for each in signatures.values() for info in each.outputs}
    return frozenset(feeds - {""}), frozenset(fetches - {""})
