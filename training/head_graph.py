"""One frozen graph: the model's own up to its embedding, and a head behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tfleet.training.errors import CannotRetrainError
from tfleet.worker.model.state import called_functions, needed, node_name
from tfleet.worker.model.tensorflow import tf

if TYPE_CHECKING:
    from tfleet.training.softmax_regression import LinearHead, Matrix
    from tfleet.worker.inference.classifier import Classifier

OUTPUT: Final = "final_result"
"""The output's name in the graphs of TensorFlow's retrain.py, which scripts ask for."""
_VARIABLES: Final = ("VarHandleOp", "VariableV2", "HashTableV2")


class HeadGraph:
    """The graph's definition, and the names of its tensors."""

    def __init__(self, definition: Any, image: str, embedding: str, output: str) -> None:
        self.definition = definition
        self.image = image
        self.embedding = embedding
        self.output = output

    def __repr__(self) -> str:
        return f"<HeadGraph {self.image} -> {self.embedding} -> {self.output}>"


@dataclass(frozen=True, slots=True)
class GraphPart:
    """The definition of a graph from its images to its embedding, and the names of both tensors."""

    definition: Any
    image: str
    embedding: str


def part_of(classifier: Classifier) -> GraphPart:
    """What of the classifier's graph makes the vectors.

    Raises CannotRetrainError for a graph that needs files beside it.
    """
    assert classifier.embedding is not None
    image = _tensor_of_images(classifier)
    embedding = classifier.embedding.tensor
    whole = classifier.session.tf_session.graph.as_graph_def()
    definition = _part(whole, image, embedding)
    if any(node.op in _VARIABLES for node in definition.node):
        raise CannotRetrainError(
            f"{classifier.spec.origin}: keeps its weights in variables that could not be frozen: save it "
            "as a frozen graph"
        )
    return GraphPart(definition, image, embedding)


def with_head(
    classifier: Classifier,
    head: LinearHead,
    min_confidence: float | None,
    constants: Mapping[str, Matrix] | None = None,
) -> HeadGraph:
    """The classifier's graph with this head instead of its own. `constants` are new values for nodes of it.

    The output has a probability for each class. With `min_confidence` there is one more, for "unknown": where
    no class has so much, "unknown" has it, and the classes share what is left in the proportion that they
    had. So it is first there, and 0 elsewhere. Raises CannotRetrainError for a graph that needs files beside
    it.
    """
    assert classifier.embedding is not None
    part = part_of(classifier)
    _set_constants(part.definition, constants or {})
    with tf.Graph().as_default() as graph:
        (vectors,) = tf.import_graph_def(part.definition, return_elements=[part.embedding], name="")
        rows = tf.cast(tf.reshape(vectors, [-1, classifier.embedding.size]), tf.float32)
        kernel = tf.constant(head.weights, name="head/kernel")
        scores = tf.nn.bias_add(tf.matmul(rows, kernel), tf.constant(head.intercepts, name="head/bias"))
        if min_confidence is None:
            output = tf.nn.softmax(scores, name=OUTPUT)
        else:
            output = _or_unknown(tf.nn.softmax(scores), min_confidence)
    return HeadGraph(graph.as_graph_def(), part.image, part.embedding, output.name)


def _tensor_of_images(classifier: Classifier) -> str:
    info = classifier.session.signature().input(classifier.image_input)
    assert info is not None
    return str(info.tensor)


def _part(whole: Any, image: str, embedding: str) -> Any:
    """What of a graph's definition the embedding needs."""
    nodes = needed(whole.node, [], [image, embedding])
    part = tf.compat.v1.GraphDef(versions=whole.versions)
    part.node.extend(nodes)
    bodies = {function.signature.name: function.node_def for function in whole.library.function}
    kept = called_functions(nodes, bodies)
    part.library.function.extend(each for each in whole.library.function if each.signature.name in kept)
    return part


def _set_constants(definition: Any, constants: Mapping[str, Matrix]) -> None:
    """Give constants new values, as float32. A cast that follows one has nothing to do then."""
    float32 = tf.float32.as_datatype_enum
    changed = set(constants)
    for node in definition.node:
        if node.name in constants:
            node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(constants[node.name], tf.float32))
            node.attr["dtype"].type = float32
        elif node.op == "Cast" and node_name(node.input[0]) in changed:
            node.attr["SrcT"].type = float32
        elif node.op == "Identity" and node_name(node.input[0]) in changed:
            node.attr["T"].type = float32
            changed.add(node.name)


def _or_unknown(probabilities: Any, min_confidence: float) -> Any:
    least = tf.constant(min_confidence, tf.float32)
    best = tf.reduce_max(probabilities, axis=1, keepdims=True)
    unknown = tf.where(best >= least, tf.zeros_like(best), tf.fill(tf.shape(best), least))
    return tf.concat([probabilities * (1 - unknown), unknown], axis=1, name=OUTPUT)
