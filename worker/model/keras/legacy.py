"""Rewrite the configuration of a model that Keras 2 saved, so that Keras 3 reads it as the same model. Pure.

Keras 3 refuses settings that it no longer has, also where they say what it does anyway. Those are removed. A
setting that would change the answers is refused here, by the name of its layer. What Keras 3 computes
differently under the same name is replaced after loading, see `replaced_activations`.

Sources: the constructors of Keras 2.0 to 2.15 and of Keras 3; Keras' issues 19151, 19441, 19898 and 20750.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from itertools import chain
from typing import Any, Final

from tfleet.worker.model.keras.config import BadConfigError, dtype_of, is_model, is_object, layers_of

_DEPTHWISE: Final = frozenset(
    {"DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D", "SeparableConvolution2D"}
)
_TRANSPOSED: Final = frozenset({"Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"})
_RECURRENT: Final = frozenset({"LSTM", "GRU", "SimpleRNN", "RNN"})
# These layers have no such kernel: their depthwise and pointwise kernels have settings of their own.
_UNUSED_KERNEL: Final = ("kernel_initializer", "kernel_regularizer", "kernel_constraint")
# Names that TensorFlow 1 and 2 had for the functions of Keras.
_ACTIVATIONS: Final[Mapping[str, str]] = {"softmax_v2": "softmax", "relu_v2": "relu", "sigmoid_v2": "sigmoid"}
# What is no layer of Keras 3 under any name.
_GONE: Final = frozenset(
    {"TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer", "ClassMethod", "CuDNNLSTM", "CuDNNGRU"}
)
_FUNCTIONAL_MODULE: Final = "keras.src.models.functional"
_REFERENCE: Final = 3  # a layer's name, the number of its call, the number of the output
_CHANGED_ACTIVATION: Final = "hard_sigmoid"


def is_legacy(version: str) -> bool:
    """Whether Keras 3 did not write the file. Files of old versions do not say which one it was."""
    return not version.partition(".")[0].isdecimal() or int(version.partition(".")[0]) < 3  # noqa: PLR2004 - Keras 3


def modernized(model: Mapping[str, Any], backend: str = "") -> dict[str, Any]:
    """A copy of the configuration that Keras 3 reads as the same model. Raises BadConfigError."""
    if backend == "theano":
        raise BadConfigError(
            "it was saved by Keras with Theano, which turns the kernels of convolutions round; save it again "
            "by Keras 2 with TensorFlow"
        )
    changed = copy.deepcopy(dict(model))
    _change_model(changed)
    return changed


def replaced_activations(model: Mapping[str, Any]) -> bool:
    """Whether a layer uses `hard_sigmoid`: max(0, min(1, 0.2 x + 0.5)) in Keras 2, with x / 6 in Keras 3."""
    values = [value for layer in _all_layers(model) for value in layer["config"].values()]
    return any(
        (value.get("config") if isinstance(value, dict) else value) == _CHANGED_ACTIVATION for value in values
    )


def _all_layers(model: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The layers of a model, of the models in it, and those that other layers wrap."""
    found = []
    for layer in layers_of(model):
        if is_model(layer):
            found += _all_layers(layer)
        elif isinstance(layer["config"], dict):
            found.append(dict(layer))
            found += [dict(inner) for inner in _wrapped(layer) if isinstance(inner["config"], dict)]
    return found


def _wrapped(layer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The layers in the configuration of a wrapper, such as Bidirectional, or of an RNN with cells."""
    config = layer["config"]
    inner = [config.get(key) for key in ("layer", "backward_layer", "cell")]
    cells = config.get("cells")
    found = [each for each in (*inner, *(cells if isinstance(cells, list) else ())) if is_object(each)]
    deeper = [_wrapped(each) for each in found if isinstance(each["config"], dict)]
    return [*found, *chain.from_iterable(deeper)]


def _change_model(model: dict[str, Any]) -> None:
    if model["class_name"] == "Sequential":
        if isinstance(model["config"], list):  # before Keras 2.2.3
            model["config"] = {"name": "sequential", "layers": model["config"]}
        _add_input_layer(model)
    if model.get("module"):
        model["module"] = _FUNCTIONAL_MODULE if model["class_name"] == "Functional" else "keras"
        model["registered_name"] = None
    layers = layers_of(model)
    for number, layer in enumerate(layers):
        _change_layer(layer, first=number == 0)  # type: ignore[arg-type] # from the copy: dicts
    # Keras 2 counted the call that had made a nested model; Keras 3 does not for a Sequential one.
    counted = {str(layer["config"].get("name")) for layer in layers if _begins_with_input(layer)}
    if counted:
        _count_from_zero(model["config"], counted)


def _begins_with_input(layer: Mapping[str, Any]) -> bool:
    first = layers_of(layer)[:1] if layer["class_name"] == "Sequential" else []
    return [each["class_name"] for each in first] == ["InputLayer"]


def _count_from_zero(config: dict[str, Any], names: set[str]) -> None:
    """Take one from the number of each call that a layer or an output of this model refers to."""
    pending = [config.get("output_layers"), *(layer.get("inbound_nodes") for layer in config["layers"])]
    while pending:
        node = pending.pop()
        refers = isinstance(node, list) and len(node) >= _REFERENCE and type(node[1]) is int
        if refers and str(node[0]) in names:
            node[1] = max(0, node[1] - 1)
        if isinstance(node, list | dict):
            pending += node.values() if isinstance(node, dict) else node


def _add_input_layer(model: dict[str, Any]) -> None:
    """Write the input layer that Keras 2 left out: with its name, `dense_1_input`, and its type."""
    layers = model["config"]["layers"]
    first = layers[0] if layers else {}
    config = first.get("config")
    if not isinstance(config, dict) or first["class_name"] == "InputLayer" or is_model(first):
        return
    shape = config.pop("batch_input_shape", None)
    if shape is not None:
        name = f"{config.get('name', first['class_name'].lower())}_input"
        settings = {"batch_shape": shape, "dtype": dtype_of(config) or "float32", "name": name}
        layers.insert(0, {"class_name": "InputLayer", "config": settings})


def _change_layer(layer: dict[str, Any], *, first: bool) -> None:
    if isinstance(layer.get("module"), str):
        layer["module"] = re.sub(r"^tf_keras\b", "keras", layer["module"])
    if is_model(layer):
        _change_model(layer)
        return
    config = layer["config"]
    if not isinstance(config, dict):
        return
    if layer["class_name"] == "InputLayer":
        _change_input(config)
    elif not first:
        config.pop("batch_input_shape", None)  # of a layer that had been the first one of another model
    _change_settings(str(config.get("name", layer["class_name"]))[:100], layer["class_name"], config)
    for inner in _wrapped(layer):
        if is_model(inner):
            _change_model(inner)
        elif isinstance(inner["config"], dict):
            inner["config"].pop("batch_input_shape", None)
            _change_settings(str(inner["config"].get("name")), inner["class_name"], inner["config"])


def _change_input(config: dict[str, Any]) -> None:
    shape = config.pop("batch_input_shape", None)
    if shape is not None:
        config["batch_shape"] = shape


def _change_settings(name: str, class_name: str, config: dict[str, Any]) -> None:
    _change_values(config)
    if class_name in _GONE:
        raise BadConfigError(
            f"its layer {name!r} is a {class_name}, which Keras 3 does not have: export the model by the "
            "Keras 2 that made it (tf.saved_model.save), and serve the folder"
        )
    if class_name.startswith("Random"):  # it does nothing outside of training
        config.pop("rng_type", None)
    if config.pop("time_major", False):
        raise BadConfigError(
            f"its layer {name!r} has time_major: true, which Keras 3 does not have: transpose around it"
        )
    if class_name in _DEPTHWISE | _TRANSPOSED and config.get("groups") == 1:
        del config["groups"]
    if class_name in _DEPTHWISE:
        for key in _UNUSED_KERNEL:
            config.pop(key, None)
    if class_name == "GRU":
        config.setdefault("reset_after", False)  # what it was before Keras 2.1.3 had the setting
    if class_name in _RECURRENT:
        config.pop("input_dim", None)
        config.pop("input_length", None)


def _change_values(config: dict[str, Any]) -> None:
    """What has another form or name in Keras 3."""
    if isinstance(config.get("dtype"), dict):  # a policy, by a class name that Keras 3 does not have
        config["dtype"] = config["dtype"].get("config", {}).get("name", "float32")
    for key in ("activation", "recurrent_activation"):
        if isinstance(config.get(key), str):
            config[key] = _ACTIVATIONS.get(config[key], config[key])
    axis = config.get("axis")
    if isinstance(axis, list) and len(axis) == 1:  # of a batch normalisation
        config["axis"] = axis[0]
