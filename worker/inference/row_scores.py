"""The labels of a model that takes no images: where its rows are scores of classes. No TensorFlow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tfleet.worker.inference.class_scores import ClassScores
from tfleet.worker.model.asset_labels import asset_labels
from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.facts import Source, activation_of

if TYPE_CHECKING:
    from tfleet.worker.model.graph_facts import GraphFacts
    from tfleet.worker.model.signature import Signature, TensorInfo
    from tfleet.worker.model.spec import ModelSpec

_ROWS_OF_CLASSES: Final = 2  # [rows, classes]
_TWO_LABELS: Final = 2


def row_scores(spec: ModelSpec, signature: Signature | None, graph: GraphFacts) -> ClassScores | None:
    """The scores of the default signature's rows; None where its outputs are no classes with labels.

    They are where the operator states labels or an activation, or where the graph ends in a softmax or
    sigmoid and the model brings labels of its own. Raises ModelError where what is stated does not fit.
    """
    stated = bool(spec.labels) or spec.output.activation not in {None, "none"}
    output = None if signature is None else _classes_of(signature)
    classes = 0 if output is None or not output.shape else output.shape[-1]
    if output is None or not classes:
        if stated:
            raise ModelError(_no_classes(spec, signature))
        return None
    activation = activation_of(spec, graph)
    sigmoid = classes == 1 and activation.value == "sigmoid"
    found = asset_labels(spec.path, _TWO_LABELS if sigmoid else classes) if graph.activation else ()
    labels = spec.labels or found
    if not labels and not stated:
        return None
    two_of_one = sigmoid and len(labels) in {0, _TWO_LABELS}
    wanted = _TWO_LABELS if two_of_one else classes
    if labels and len(labels) != wanted:
        hint = ' (two labels need activation = "sigmoid")' if classes == 1 else ""
        raise ModelError(f"{spec.origin}: there are {len(labels)} labels, and the output is {output}{hint}")
    return ClassScores(
        labels or tuple(str(number) for number in range(wanted)),
        "none" if activation.source is Source.MODEL else activation.value,
        two_of_one,
        activation.value != "none",
        spec.output.threshold,
    )


def _classes_of(signature: Signature) -> TensorInfo | None:
    """The only output, if it has a row of numbers for each row of the inputs."""
    if len(signature.outputs) != 1:
        return None
    output = signature.outputs[0]
    if not output.dtype.startswith(("float", "bfloat")):
        return None
    return output if output.shape is not None and len(output.shape) == _ROWS_OF_CLASSES else None


def _no_classes(spec: ModelSpec, signature: Signature | None) -> str:
    what = "labels" if spec.labels else spec.setting("output.activation", "--activation")
    if signature is None:
        return f"{spec.origin}: {what} needs a default signature: set model.signature, or --signature"
    outputs = ", ".join(str(info) for info in signature.outputs)
    needs = "for a model with one output of floats [?, classes]"
    return f"{spec.origin}: {what}: {needs}, and this one has {outputs}"
