"""The network of a frozen graph as a Keras model, with the graph's own weights. Only the child imports it."""

from __future__ import annotations

from typing import Any, Final

import keras

from tfleet.training.fine_tune import layers as kinds
from tfleet.training.fine_tune.layers import Layer, Layers

_RELU6: Final = 6.0


def rebuild(network: Layers) -> keras.Model:
    """From images[n, height, width, channels], prepared as for the graph, to vectors[n, dimensions].

    Each layer has the name of its node, with `/` as `.`: the names of Keras may not have any.
    """
    tensors: dict[str, Any] = {}
    weights: list[tuple[Any, Any]] = []
    last = ""
    for layer in network.layers:
        last = layer.name
        if layer.kind == kinds.INPUT:
            tensors[layer.name] = keras.Input(network.shape)
            image = tensors[layer.name]
            continue
        made = _made(layer)
        inputs = [tensors[each] for each in layer.inputs]
        tensors[layer.name] = made(inputs if layer.kind == kinds.SUM else inputs[0])
        if layer.weights is not None:
            weights.append((made, layer.weights))
    model = keras.Model(image, keras.layers.Flatten()(tensors[last]))
    for made, values in weights:
        made.set_weights([values])
    return model


def keras_name(node: str) -> str:
    """The name of a node's layer."""
    return node.replace("/", ".")


def _made(layer: Layer) -> Any:
    name = keras_name(layer.name)
    if layer.kind == kinds.SUM:
        return keras.layers.Add(name=name)
    if layer.kind == kinds.MEAN:
        return keras.layers.GlobalAveragePooling2D(keepdims=layer.keeps_dimensions, name=name)
    if layer.kind in (kinds.RELU, kinds.RELU6):
        return keras.layers.ReLU(max_value=_RELU6 if layer.kind == kinds.RELU6 else None, name=name)
    assert layer.weights is not None
    if layer.kind == kinds.BIAS:
        return Bias(name=name)
    height, width, _, last = layer.weights.shape
    options = {"strides": layer.stride, "padding": layer.padding, "use_bias": False, "name": name}
    if layer.kind == kinds.DEPTHWISE:
        return keras.layers.DepthwiseConv2D((height, width), depth_multiplier=last, **options)
    return keras.layers.Conv2D(last, (height, width), **options)


class Bias(keras.layers.Layer):  # type: ignore[misc] # Keras has no types
    """Adds a number to each channel, as the node BiasAdd does."""

    def build(self, shape: Any) -> None:
        """See Keras."""
        self.bias = self.add_weight(shape=(shape[-1],), initializer="zeros", name="bias")

    def call(self, x: Any) -> Any:
        """See Keras."""
        return x + self.bias
