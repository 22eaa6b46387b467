"""Open a model in a new session, frozen where that is possible."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tfleet.worker.model.endpoints import EncodedInput, PixelInput, find_input, find_output
from tfleet.worker.model.freeze import CannotFreezeError, freeze
from tfleet.worker.model.graph import load_frozen, restore_saved_model
from tfleet.worker.model.tensorflow import tf

if TYPE_CHECKING:
    from collections.abc import Callable

    from tfleet.worker.model.spec import ModelSpec


@dataclass(frozen=True, slots=True)
class OpenModel:
    """A session with its graph's input and output. The caller owns the session and closes it.

    `form` says in a few words what became of a SavedModel's variables; it is empty for a frozen graph.
    """

    session: tf.compat.v1.Session
    feed: PixelInput | EncodedInput
    fetch: tf.Tensor
    form: str = ""


def open_model(spec: ModelSpec, make_session: Callable[[tf.Graph], Any]) -> OpenModel:
    """Open the model in a session that `make_session` creates. Raises `ModelError`; no session is left
    open then.
    """
    return _open_saved_model(spec, make_session) if spec.path.is_dir() else _open_graph(spec, make_session)


def _open_graph(spec: ModelSpec, make_session: Callable[[tf.Graph], Any]) -> OpenModel:
    graph = load_frozen(spec.path)
    feed, fetch = find_input(spec, graph, None), find_output(spec, graph, None)
    return OpenModel(make_session(graph), feed, fetch)


def _open_saved_model(spec: ModelSpec, make_session: Callable[[tf.Graph], Any]) -> OpenModel:
    """Open a SavedModel: frozen in a second session, or with its variables in the session that restored
    it.
    """
    graph = tf.Graph()
    session = make_session(graph)
    keep_session = False
    try:
        signature = restore_saved_model(session, spec.path)
        feed, fetch = find_input(spec, graph, signature), find_output(spec, graph, signature)
        try:
            frozen = freeze(session, feed.tensor.name, fetch.name)
        except CannotFreezeError as error:
            keep_session = True
            return OpenModel(session, feed, fetch, f"a SavedModel with its variables: {error}")
    finally:
        # Closed before the second session opens: otherwise the weights would be in memory twice.
        if not keep_session:
            session.close()
    feed = replace(feed, tensor=frozen.get_tensor_by_name(feed.tensor.name))
    fetch = frozen.get_tensor_by_name(fetch.name)
    return OpenModel(make_session(frozen), feed, fetch, "a SavedModel, frozen")
