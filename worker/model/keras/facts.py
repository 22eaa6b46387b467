"""What a Keras model does at its ends, read from its configuration: the facts that its graph will have.

What can't be told is named, and told after the conversion, from the graph itself. No Keras.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from tfleet.worker.model.graph_facts import GraphFacts, PixelRange, pixel_range
from tfleet.worker.model.keras.config import is_model, is_object, layer_name, layers_of
from tfleet.worker.model.keras.file import KerasFile
from tfleet.worker.model.keras.layer_shapes import Shape, call_inputs, output_shapes, references
from tfleet.worker.model.pixel_layout import pixel_layout
from tfleet.worker.model.signature import Signature

UNTOLD: Final = "told after the conversion: tfleet model convert"

# Layers that hand their input on in an answer, or only move or resize it.
_PASSES: Final = frozenset(
    (
        *("AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise", "Identity", "SpatialDropout2D"),
        *("RandomBrightness", "RandomContrast", "RandomFlip", "RandomRotation", "RandomTranslation"),
        *("RandomZoom", "ActivityRegularization"),
    )
)
_DEPTH_LAST: Final = "channels_last"
_MOVES: Final = frozenset({"Flatten", "Reshape", "Resizing"})
# Layers behind which the input's range is nobody's business: the first of these ends the search.
_COMPUTES: Final = (
    *("BatchNormalization", "Bidirectional", "Conv", "Dense", "DepthwiseConv", "Embedding", "GRU"),
    *("GlobalAveragePooling", "GlobalMaxPooling", "LSTM", "LayerNormalization", "AveragePooling"),
    *("MaxPooling", "SeparableConv", "SimpleRNN", "TimeDistributed", "ZeroPadding"),
)
_ARITHMETIC: Final = frozenset({"Add", "Multiply", "Subtract", "TrueDivide"})
_ACTIVATIONS: Final = frozenset({"sigmoid", "softmax"})
# Layers that end in the activation that they name.
_ENDS: Final = ("Activation", "Conv", "Dense", "SeparableConv")
# Layers that end in no softmax or sigmoid, whatever they have inside.
_NO_ACTIVATION: Final = (
    *("Add", "BatchNormalization", "Bidirectional", "Concatenate", "Embedding", "GRU", "Global", "LSTM"),
    *("LayerNormalization", "LeakyReLU", "ReLU", "Rescaling", "SimpleRNN", "StringLookup"),
)
_OPEN: Final = "open"


@dataclass(frozen=True, slots=True)
class KerasFacts:
    """The facts of a model's graph. `untold` are the names of those that are open.

    `output` is the shape of the only output; None if it is open, or if there are several.
    """

    graph: GraphFacts
    stateful: bool
    output: Shape
    untold: frozenset[str] = field(default_factory=frozenset)

    def signature(self, stated: Signature) -> Signature:
        """The signature of the configuration with what is known besides. Its tensors have no names yet."""
        outputs = stated.outputs
        if len(outputs) == 1:
            outputs = (replace(outputs[0], shape=self.output),)
        inputs = tuple(replace(info, tensor=info.name) for info in stated.inputs)
        return replace(stated, inputs=inputs, outputs=outputs, stateful=self.stateful)


def keras_facts(file: KerasFile) -> KerasFacts | None:
    """The facts of a model; None where its configuration says too little, not even what its layers are."""
    try:
        return _facts(file)
    except (LookupError, TypeError, ValueError, AttributeError):  # damaged, or in a form that is not known
        return None


def _facts(file: KerasFile) -> KerasFacts:
    model = file.config
    end = _end_of(model)
    output = None if end is None else output_shapes(model).get(end)
    untold = {"stateful"} if file.code else set()
    pixels = _pixels(model)
    if pixels == _OPEN:
        untold.add("pixels")
    activation = None if end is None else _activation(model, end)
    if activation == _OPEN:
        untold.add("activation")
    may_be_image = len(file.inputs) == 1 and pixel_layout(file.inputs[0].shape) is not None
    if may_be_image and len(file.outputs) == 1 and (output is None or not file.outputs[0].dtype):
        untold.add("kind")
    graph = GraphFacts(
        pixels=pixels if isinstance(pixels, PixelRange) else None,
        activation=activation if activation in _ACTIVATIONS else None,
    )
    return KerasFacts(graph, any(map(_keeps_state, _all_layers(model))), output, frozenset(untold))


def _keeps_state(layer: Mapping[str, Any]) -> bool:
    config = layer["config"]
    if not isinstance(config, dict):
        return False
    inner = config.get("layer")
    inside = isinstance(inner, dict) and is_object(inner) and _keeps_state(inner)
    return config.get("stateful") is True or inside


def _all_layers(model: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for layer in layers_of(model):
        yield layer
        if is_model(layer):
            yield from _all_layers(layer)


def _pixels(model: Mapping[str, Any]) -> PixelRange | str | None:
    """The range that the first layers expect; "open" if a layer is not known here."""
    scale, offset = np.ones(1), np.zeros(1)
    for layer in _chain(model):
        if layer is None:
            break
        name, config = layer["class_name"], layer["config"]
        if name in _PASSES or name in _MOVES:
            continue
        if name == "Rescaling":
            factor, shift = np.ravel(config["scale"]), np.ravel(config.get("offset", 0.0))
        elif name in _ARITHMETIC and (found := _constants(layer)) is not None:
            factor, shift = found
        elif name.startswith(_COMPUTES):
            break
        else:
            return _OPEN
        scale, offset = scale * factor, offset * factor + shift
    return pixel_range(scale, offset)


def _chain(model: Mapping[str, Any]) -> Iterator[Mapping[str, Any] | None]:
    """The layers behind the only input, as long as each takes what the one before it gives, and nobody else.

    None where several layers take it.
    """
    layers = layers_of(model)
    following: Sequence[Mapping[str, Any] | None] = layers
    if model.get("class_name") != "Sequential":
        users: dict[str, list[Mapping[str, Any]]] = {}
        for layer in layers:
            for call in layer.get("inbound_nodes") or ():
                for name, _ in call_inputs(call, {}):
                    users.setdefault(name, []).append(layer)
        following = _followed(layers, users)
    for each in following:
        if each is not None and is_model(each):
            yield from _chain(each)
        elif each is None or each["class_name"] != "InputLayer":
            yield each


def _followed(
    layers: Sequence[Mapping[str, Any]], users: Mapping[str, Sequence[Mapping[str, Any]]]
) -> list[Mapping[str, Any] | None]:
    inputs = [layer_name(layer) for layer in layers if layer["class_name"] == "InputLayer"]
    if len(inputs) != 1:
        return [None]
    found: list[Mapping[str, Any] | None] = []
    at = inputs[0]
    while at in users and len(found) < len(layers):
        if len(users[at]) > 1:
            return [*found, None]
        found.append(users[at][0])
        at = layer_name(users[at][0])
    return found


def _constants(layer: Mapping[str, Any]) -> tuple[Any, Any] | None:
    """Factor and offset of an operation with a tensor and a number; None for any other."""
    calls = layer.get("inbound_nodes")
    args = calls[0].get("args") if isinstance(calls, list) and calls and isinstance(calls[0], dict) else None
    if not isinstance(args, list) or len(args) != 2 or not isinstance(args[0], dict):  # noqa: PLR2004 - a pair
        return None
    number = args[1]
    if type(number) not in {int, float}:
        return None
    name = layer["class_name"]
    if name in {"Multiply", "TrueDivide"}:
        if name == "TrueDivide" and number == 0:
            return None
        return np.array([number if name == "Multiply" else 1 / number]), np.zeros(1)
    return np.ones(1), np.array([number if name == "Add" else -number])


def _activation(model: Mapping[str, Any], end: str) -> str | None:
    """The activation that the layer `end` of the model ends in; "open" if it is not known here."""
    layers = {layer_name(layer): layer for layer in layers_of(model)}
    at = layers.get(end)
    while at is not None and at["class_name"] in _PASSES:
        at = _before(at, layers, model)
    if at is None:
        return _OPEN
    if is_model(at):
        inner = _end_of(at)
        return _OPEN if inner is None else _activation(at, inner)
    return _of_layer(at, output_shapes(model).get(layer_name(at)))


def _of_layer(layer: Mapping[str, Any], shape: Shape) -> str | None:
    name, config = layer["class_name"], layer["config"]
    if name == "Softmax":
        last = {-1} if shape is None else {-1, len(shape) - 1}
        return "softmax" if config.get("axis", -1) in last else _OPEN
    if name.startswith(_NO_ACTIVATION):
        return None
    if not name.startswith(_ENDS) or config.get("data_format", _DEPTH_LAST) != _DEPTH_LAST:
        return _OPEN
    activation = config.get("activation")
    if isinstance(activation, dict):
        activation = activation.get("config") if activation.get("class_name") == "function" else _OPEN
    return activation if activation in _ACTIVATIONS or activation == _OPEN else None


def _before(
    layer: Mapping[str, Any], layers: Mapping[str, Mapping[str, Any]], model: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    """The layer whose result this one takes; None if that is not one."""
    if model.get("class_name") == "Sequential":
        names = list(layers)
        number = names.index(layer_name(layer))
        return layers[names[number - 1]] if number > 0 else None
    calls = layer.get("inbound_nodes") or []
    names = [name for call in calls for name, _ in call_inputs(call, {})]
    return layers.get(names[0]) if len(names) == 1 else None


def _end_of(model: Mapping[str, Any]) -> str | None:
    """The layer of a model's only output."""
    layers = layers_of(model)
    if model.get("class_name") == "Sequential":
        return layer_name(layers[-1]) if layers else None
    names = list(references(model["config"].get("output_layers")))
    return names[0] if len(names) == 1 else None
