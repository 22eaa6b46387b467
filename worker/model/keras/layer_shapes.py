"""The shapes that the layers of a Keras model give, read from its configuration. No Keras.

Only ranks and last dimensions are meant to be right: what makes a model an image classifier or a sequence. A
dimension that is not followed is None, and so is the shape behind a layer that is not known here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from tfleet.worker.model.keras.config import is_model, layer_name, layers_of

Shape = tuple[int | None, ...] | None

SAME: Final = frozenset(
    (
        *("Activation", "ActivityRegularization", "AlphaDropout", "BatchNormalization", "Dropout", "ELU"),
        *("GaussianDropout", "GaussianNoise", "GroupNormalization", "Identity", "LayerNormalization"),
        *("LeakyReLU", "Masking", "Normalization", "PReLU", "ReLU", "Rescaling", "Softmax"),
        *("SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "UnitNormalization"),
        *("RandomBrightness", "RandomContrast", "RandomFlip", "RandomRotation", "RandomTranslation"),
        *("RandomZoom", "StringLookup", "IntegerLookup"),
        *("Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract", "TrueDivide"),
    )
)
"""The layers and operations of Keras whose result has the shape of their first input."""

_CONVOLUTIONS: Final = ("Conv", "SeparableConv")
_KEEP_LAST: Final = ("AveragePooling", "MaxPooling", "ZeroPadding", "Cropping", "UpSampling")
_DEPTH_LAST: Final = "channels_last"
_RECURRENT: Final = frozenset({"GRU", "LSTM", "SimpleRNN"})


def output_shapes(model: Mapping[str, Any]) -> Mapping[str, Shape]:
    """The shape that each layer of the model gives, by the layer's name. Raises BadConfigError."""
    shapes: dict[str, Shape] = {}
    layers = layers_of(model)
    sequential = model.get("class_name") == "Sequential"
    before: Shape = None
    for layer in layers:
        given = [before] if sequential else _inputs(layer, shapes)
        before = shapes[layer_name(layer)] = shape_after(layer, given)
    return shapes


def shape_after(layer: Mapping[str, Any], inputs: Sequence[Shape]) -> Shape:
    """The shape that a layer makes of its inputs; None if that is not known."""
    name = layer["class_name"]
    config = layer["config"] if isinstance(layer["config"], dict) else {}
    first = inputs[0] if inputs else None
    shape: Shape = None
    if name == "InputLayer":
        stated = config.get("batch_shape")
        shape = tuple(stated) if isinstance(stated, list) else None
    elif is_model(layer):
        shape = _of_model(layer)
    elif first and name in SAME:
        shape = first
    elif first and name == "Concatenate":
        shape = _concatenated(config, inputs)
    elif first and name in _RULES:
        shape = _RULES[name](config, first)
    elif first and config.get("data_format", _DEPTH_LAST) == _DEPTH_LAST:
        shape = _of_picture(name, config, first)
    return shape


def _of_picture(name: str, config: Mapping[str, Any], shape: tuple[int | None, ...]) -> Shape:
    """The shape behind a layer of convolutions or pools, whose sides are not followed."""
    sides = (None,) * (len(shape) - 2)
    if name.startswith(_CONVOLUTIONS):
        return (shape[0], *sides, config.get("filters"))
    if name.startswith("DepthwiseConv"):
        return (shape[0], *sides, None)
    if name.startswith("Global"):
        return (shape[0], *(sides if config.get("keepdims") else ()), shape[-1])
    return (shape[0], *sides, shape[-1]) if name.startswith(_KEEP_LAST) else None


def _of_model(model: Mapping[str, Any]) -> Shape:
    """The shape of the only output of a model within a model."""
    layers = layers_of(model)
    if model["class_name"] == "Sequential":
        return output_shapes(model)[layer_name(layers[-1])] if layers else None
    ends = model["config"].get("output_layers")
    names = list(references(ends))
    return output_shapes(model).get(names[0]) if len(names) == 1 else None


def references(ends: Any) -> Iterator[str]:
    """The layers that `[name, 0, 0]`, or a list or dict of such, names."""
    if isinstance(ends, dict):
        ends = list(ends.values())
    if isinstance(ends, list) and ends and isinstance(ends[0], str):
        yield ends[0]
    elif isinstance(ends, list):
        for each in ends:
            yield from references(each)


def _inputs(layer: Mapping[str, Any], known: Mapping[str, Shape]) -> list[Shape]:
    """The shapes of what a layer is called with. Of one that is called several times they are not told."""
    calls = layer.get("inbound_nodes")
    if not isinstance(calls, list) or len(calls) != 1:
        return []
    return [shape for _, shape in call_inputs(calls[0], known)]


def call_inputs(call: Any, known: Mapping[str, Shape]) -> Iterator[tuple[str, Shape]]:
    """The layers that a call takes tensors from, with their shapes.

    Keras 3 writes the tensors with their shapes; Keras 2 lists of names, `[["dense", 0, 0, {}]]`.
    """
    if isinstance(call, dict):
        if call.get("class_name") == "__keras_tensor__":
            tensor = call["config"]
            yield tensor["keras_history"][0], tuple(tensor["shape"])
        else:
            for value in call.values():
                yield from call_inputs(value, known)
    elif isinstance(call, list) and len(call) >= 3 and isinstance(call[0], str) and type(call[1]) is int:  # noqa: PLR2004 - such a reference
        yield call[0], known.get(call[0])
    elif isinstance(call, list):
        for value in call:
            yield from call_inputs(value, known)


def _concatenated(config: Mapping[str, Any], inputs: Sequence[Shape]) -> Shape:
    first = inputs[0]
    if first is None or config.get("axis", -1) not in {-1, len(first) - 1}:
        return None if first is None else (None,) * len(first)
    ends = [None if shape is None else shape[-1] for shape in inputs]
    return (*first[:-1], None if None in ends else sum(ends))  # type: ignore[arg-type] # none of them is None


def _recurrent(config: Mapping[str, Any], shape: tuple[int | None, ...]) -> Shape:
    units = config.get("units")
    if config.get("return_state") or not isinstance(units, int):
        return None
    return (*shape[:2], units) if config.get("return_sequences") else (shape[0], units)


def _bidirectional(config: Mapping[str, Any], shape: tuple[int | None, ...]) -> Shape:
    inner = config.get("layer")
    after = shape_after(inner, [shape]) if isinstance(inner, dict) else None
    if after is None or config.get("merge_mode", "concat") is None:
        return None
    doubled = config.get("merge_mode", "concat") == "concat" and after[-1] is not None
    return (*after[:-1], 2 * (after[-1] or 0) if doubled else after[-1])


def _distributed(config: Mapping[str, Any], shape: tuple[int | None, ...]) -> Shape:
    inner = config.get("layer")
    after = shape_after(inner, [(shape[0], *shape[2:])]) if isinstance(inner, dict) else None
    return None if after is None else (*shape[:2], *after[1:])


def _flat(config: Mapping[str, Any], shape: tuple[int | None, ...]) -> Shape:
    sizes = [size for size in shape[1:] if size is not None]
    return (shape[0], math.prod(sizes) if len(sizes) == len(shape) - 1 else None)


def _reshaped(config: Mapping[str, Any], shape: tuple[int | None, ...]) -> Shape:
    target = config.get("target_shape")
    if not isinstance(target, list):
        return None
    return (shape[0], *(None if size is None or size < 0 else size for size in target))


def _vectorized(config: Mapping[str, Any], shape: tuple[int | None, ...]) -> Shape:
    if config.get("ragged") or config.get("sparse"):
        return None
    return (shape[0], config.get("output_sequence_length") if config.get("output_mode") == "int" else None)


_RULES: Final[Mapping[str, Callable[[Mapping[str, Any], tuple[int | None, ...]], Shape]]] = {
    "Bidirectional": _bidirectional,
    "Dense": lambda config, shape: (*shape[:-1], config.get("units")),
    "Embedding": lambda config, shape: (*shape, config.get("output_dim")),
    "Flatten": _flat,
    "Resizing": lambda config, shape: (*shape[:-3], config.get("height"), config.get("width"), shape[-1]),
    "Reshape": _reshaped,
    "TextVectorization": _vectorized,
    "TimeDistributed": _distributed,
    **dict.fromkeys(_RECURRENT, _recurrent),
}
