"""Open a model in a new session with all its signatures, frozen where that is possible."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tfleet.worker.model.by_value import computes_by_value
from tfleet.worker.model.embedding import Embedding, find_embedding
from tfleet.worker.model.facts import check_functions, facts_of_graph, find_facts
from tfleet.worker.model.freeze import CannotFreezeError, freeze
from tfleet.worker.model.graph import import_frozen, read_frozen, restore_saved_model
from tfleet.worker.model.graph_facts import GraphFacts
from tfleet.worker.model.parsed_examples import with_examples
from tfleet.worker.model.saved_model_proto import read_saved_model
from tfleet.worker.model.served_signatures import served_signatures
from tfleet.worker.model.state import assignment
from tfleet.worker.model.tags import choose_tags
from tfleet.worker.model.tensorflow import tf

if TYPE_CHECKING:
    from tfleet.worker.model.facts import ModelFacts
    from tfleet.worker.model.signature import Signature
    from tfleet.worker.model.spec import ModelSpec


def _nothing() -> None:
    """A frozen graph has no variables to restore."""


@dataclass(frozen=True, slots=True)
class OpenModel:
    """A session with the signatures of its graph. The caller owns the session and closes it.

    `graph_facts` are those of the default signature. `embedding` is what model.toml names as such. `form`
    says in a few words what became of a SavedModel's variables; it is empty for a frozen graph. `restore`
    sets variables to their saved values again.
    """

    session: tf.compat.v1.Session
    signatures: Mapping[str, Signature] = field(repr=False)
    facts: ModelFacts
    graph_facts: GraphFacts
    embedding: Embedding | None = None
    form: str = ""
    restore: Callable[[], None] = _nothing


def open_model(spec: ModelSpec, make_session: Callable[[tf.Graph], Any]) -> OpenModel:
    """Open the model in a session that `make_session` creates. Raises `ModelError`; no session is left
    open then.
    """
    return _open_saved_model(spec, make_session) if spec.path.is_dir() else _open_graph(spec, make_session)


def _open_graph(spec: ModelSpec, make_session: Callable[[tf.Graph], Any]) -> OpenModel:
    definition = read_frozen(spec.path)
    check_functions(spec, definition)
    graph = import_frozen(spec.path, definition)
    served = served_signatures(spec, graph, None)
    signatures = _with_state(spec, definition, served.by_name)
    facts, graph_facts = _facts(spec, definition, signatures, served.default)
    embedding = find_embedding(spec, graph, None)
    del definition  # the weights once more, which the new session has, too
    return OpenModel(make_session(graph), signatures, facts, graph_facts, embedding)


def _open_saved_model(spec: ModelSpec, make_session: Callable[[tf.Graph], Any]) -> OpenModel:
    """Open a SavedModel: frozen in a second session, or with its variables in the session that restored
    it.
    """
    graphs = read_saved_model(spec.path)
    tags = choose_tags(spec.path, spec.serving.tags, [each.tags for each in graphs])
    for each in graphs:
        check_functions(spec, each.definition.graph_def)
    del graphs
    graph = tf.Graph()
    session = make_session(graph)
    keep_session = False
    try:
        restored = restore_saved_model(session, spec.path, tags)
        served = served_signatures(spec, graph, restored.signatures)
        definition = graph.as_graph_def()
        signatures = _with_state(spec, definition, served.by_name)
        facts, graph_facts = _facts(spec, definition, signatures, served.default)
        embedding = find_embedding(spec, graph, restored.signatures.get(served.default or ""))
        try:
            if spec.serving.runs.stateful:
                raise CannotFreezeError("model.toml says that it is stateful")
            feeds, fetches = _tensors(signatures)
            kept = fetches if embedding is None else fetches | {embedding.tensor}
            frozen = freeze(session, definition, feeds, kept)
        except CannotFreezeError as error:
            keep_session = True
            form = f"a SavedModel with its variables: {error}"
            return OpenModel(session, signatures, facts, graph_facts, embedding, form, restored.restore)
    finally:
        # Closed before the second session opens: otherwise the weights would be in memory twice.
        if not keep_session:
            session.close()
    return OpenModel(make_session(frozen), signatures, facts, graph_facts, embedding, "a SavedModel, frozen")


def _facts(
    spec: ModelSpec, definition: Any, signatures: Mapping[str, Signature], default: str | None
) -> tuple[ModelFacts, GraphFacts]:
    signature = None if default is None else signatures[default]
    found = facts_of_graph(spec, signature, definition)
    return find_facts(spec, signature, found), found


def _with_state(
    spec: ModelSpec, definition: tf.compat.v1.GraphDef, signatures: Mapping[str, Signature]
) -> Mapping[str, Signature]:
    """The signatures. Each knows whether it keeps state, whether it computes by value, and what it parses."""
    stated = spec.serving.runs.stateful
    found = {}
    for name, each in signatures.items():
        stateful = bool(assignment(definition, *_tensors({name: each}))) if stated is None else stated
        by_value = not stateful and computes_by_value(definition, each)
        found[name] = replace(with_examples(definition, each), stateful=stateful, by_value=by_value)
    return found


def _tensors(signatures: Mapping[str, Signature]) -> tuple[frozenset[str], frozenset[str]]:
    """The names of the tensors that the signatures take, and of those that they give."""
    feeds = {info.tensor for each in signatures.values() for info in each.inputs}
    fetches = {info.tensor for each in signatures.values() for info in each.outputs}
    return frozenset(feeds - {""}), frozenset(fetches - {""})
