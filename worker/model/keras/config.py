"""What the configuration of a Keras model says of its inputs and outputs. No Keras.

Two forms are read. In .keras files each object has a module and a registered name: `{"module":
"keras.layers", "class_name": "Dense", "registered_name": null, "config": {...}}`. HDF5 files have the older
form, with class names only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tfleet.worker.model.signature import TensorInfo

MODELS: Final = frozenset({"Functional", "Model", "Sequential"})
# A layer that looks things up or counts answers in other types than the one it computes in.
_OTHER_TYPES: Final = ("Lookup", "Vectorization", "Encoding", "Hash", "Discret", "Crossing", "Cast", "Arg")
# Deeper than any model nests its layers; Python's own limit is about a thousand calls.
MAX_DEPTH: Final = 100


class BadConfigError(ValueError):
    """The configuration is not that of a Keras model. The message says why, in a few words."""


@dataclass(frozen=True, slots=True)
class KerasInterface:
    """A model's inputs and outputs, in Keras' own order and with Keras' own names.

    The configuration says little of the outputs: their shapes are None, and a dtype is "" where it depends on
    the layer.
    """

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]


def read_interface(model: Mapping[str, Any]) -> KerasInterface:
    """The inputs and outputs of a model. Raises BadConfigError; a subclass of Model has none to be read."""
    layers = layers_of(model)
    if not layers:
        raise BadConfigError("it has no layers")
    if model.get("class_name") == "Sequential":
        return KerasInterface(
            (_input(layer_name(layers[0]), layers[0]),), (_output(layer_name(layers[-1]), layers[-1]),)
        )
    config = model["config"]
    by_name = {layer_name(layer): layer for layer in layers}
    inputs = _ends(config.get("input_layers"), by_name, "input_layers")
    outputs = _ends(config.get("output_layers"), by_name, "output_layers")
    return KerasInterface(
        tuple(_input(name, layer) for name, layer in inputs),
        tuple(_output(name, layer) for name, layer in outputs),
    )


def layers_of(model: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The configurations of a model's layers. Raises BadConfigError."""
    config = model.get("config")
    layers = config.get("layers") if isinstance(config, dict) else config
    if not isinstance(layers, list) or not all(is_object(layer) for layer in layers):
        raise BadConfigError(f"{model.get('class_name')} has no list of layers")
    return layers


def is_object(node: Any) -> bool:
    """Whether this is what Keras writes for an object: a class with its configuration."""
    return isinstance(node, dict) and isinstance(node.get("class_name"), str) and "config" in node


def is_model(node: Mapping[str, Any]) -> bool:
    """Whether this layer is a model with layers of its own."""
    return node["class_name"] in MODELS


def unique_names(names: list[str]) -> list[str]:
    """The same names, where a repeated one has a number after it: a layer may have several outputs."""
    taken: set[str] = set()
    unique = []
    for name in names:
        numbered, number = name, 0
        while numbered in taken:
            number += 1
            numbered = f"{name}_{number}"
        taken.add(numbered)
        unique.append(numbered)
    return unique


def _ends(
    tree: Any, by_name: Mapping[str, Mapping[str, Any]], key: str
) -> list[tuple[str, Mapping[str, Any]]]:
    """The layers that `input_layers` or `output_layers` names: one triple, or lists and dicts of them."""
    flat = list(_leaves(tree, None, 0))
    if not flat or any(layer not in by_name for _, layer in flat):
        raise BadConfigError(f"its {key} are not layers of it")
    names = unique_names([layer if name is None else name for name, layer in flat])
    return [(name, by_name[layer]) for name, (_, layer) in zip(names, flat, strict=True)]


def _leaves(tree: Any, name: str | None, depth: int) -> Iterator[tuple[str | None, str]]:
    """Names of dict keys (None outside of dicts) and of layers; dicts in the order of their keys, as Keras
    does it.
    """
    if depth > MAX_DEPTH:
        raise BadConfigError("it nests too deeply")
    if isinstance(tree, dict):
        for key, value in sorted(tree.items()):
            yield from _leaves(value, key if name is None else f"{name}_{key}", depth + 1)
    elif isinstance(tree, list) and tree and isinstance(tree[0], str):
        yield name, tree[0]
    elif isinstance(tree, list):
        for value in tree:
            yield from _leaves(value, name, depth + 1)


def layer_name(layer: Mapping[str, Any]) -> str:
    config = layer["config"]
    return str(layer.get("name") or (config.get("name") if isinstance(config, dict) else None) or "?")


def _input(name: str, layer: Mapping[str, Any]) -> TensorInfo:
    if is_model(layer):
        inner = read_interface(layer).inputs
        if len(inner) == 1:
            return TensorInfo(name, "", inner[0].dtype, inner[0].shape)
    config = layer["config"] if isinstance(layer["config"], dict) else {}
    shape = next((config[key] for key in ("batch_shape", "batch_input_shape") if config.get(key)), None)
    if shape is None:
        shape = layer.get("build_config", {}).get("input_shape")
    return TensorInfo(name, "", dtype_of(config) or "float32", _shape(shape))


def _output(name: str, layer: Mapping[str, Any]) -> TensorInfo:
    while is_model(layer):
        (*_, layer) = layers_of(layer)
    config = layer["config"] if isinstance(layer["config"], dict) else {}
    unclear = any(word in layer["class_name"] for word in _OTHER_TYPES) or config.get("output_mode") == "int"
    return TensorInfo(name, "", "" if unclear else dtype_of(config), None)


def dtype_of(config: Mapping[str, Any]) -> str:
    """The type that a layer computes in; "" if its configuration does not say.

    A policy has a name such as `float32`, `mixed_bfloat16` or `int8_from_mixed_bfloat16`.
    """
    dtype = config.get("dtype")
    if isinstance(dtype, dict):
        policy = dtype.get("config")
        dtype = policy.get("name") if isinstance(policy, dict) else None
    if not isinstance(dtype, str):
        return ""
    return dtype.rpartition("_from_")[2].removeprefix("mixed_")


def _shape(shape: Any) -> tuple[int | None, ...] | None:
    if not isinstance(shape, list) or not all(size is None or type(size) is int for size in shape):
        return None
    return tuple(shape)
