"""The layers of a frozen graph, read from the input up to the embedding. Keras is not needed for that.

What is understood is what convolutional networks are frozen to: convolutions with a bias, ReLU and ReLU6,
sums of two branches, and a mean over height and width at the end. Anything else is refused, by its name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tfleet.training.errors import CannotRetrainError
from tfleet.worker.model.state import node_name
from tfleet.worker.model.tensorflow import tf

INPUT: Final = "input"
CONVOLUTION: Final = "convolution"
DEPTHWISE: Final = "depthwise convolution"
BIAS: Final = "bias"
RELU: Final = "relu"
RELU6: Final = "relu6"
SUM: Final = "sum"
MEAN: Final = "mean"

_KINDS: Final = {
    "Placeholder": INPUT,
    "Conv2D": CONVOLUTION,
    "DepthwiseConv2dNative": DEPTHWISE,
    "BiasAdd": BIAS,
    "Relu": RELU,
    "Relu6": RELU6,
    "Add": SUM,
    "AddV2": SUM,
    "Mean": MEAN,
}
_WITH_WEIGHTS: Final = (CONVOLUTION, DEPTHWISE, BIAS)
_AS_THEY_ARE: Final = ("Identity", "Cast")
_SPATIAL: Final = ([1, 2], [-3, -2])
_PIXELS: Final = 4  # dimensions: images, height, width, channels


@dataclass(frozen=True, slots=True)
class Layer:
    """An operation of the graph. `inputs` are the names of layers before it.

    `weights` is the kernel or bias, and `constant` the name of the node that holds it. `stride` and `padding`
    ("same" or "valid") are those of convolutions.
    """

    name: str
    kind: str
    inputs: tuple[str, ...] = ()
    constant: str = ""
    weights: npt.NDArray[np.float32] | None = None
    stride: int = 1
    padding: str = "valid"
    keeps_dimensions: bool = False


@dataclass(frozen=True, slots=True)
class Layers:
    """A network in an order that can be computed. `shape` is that of an image: height, width, channels."""

    shape: tuple[int, int, int]
    layers: tuple[Layer, ...]

    @property
    def convolutions(self) -> int:
        """How many layers have a kernel."""
        return sum(each.kind in (CONVOLUTION, DEPTHWISE) for each in self.layers)


class _UnknownError(Exception):
    """A node is of no kind that is understood."""


def read_layers(definition: Any, image: str, embedding: str) -> Layers:
    """The layers of a GraphDef between these two tensors.

    Raises CannotRetrainError for a graph with anything that is not understood.
    """
    nodes = {node.name: node for node in definition.node}
    try:
        if not embedding.endswith(":0") or not image.endswith(":0"):
            raise _UnknownError(f"{image} or {embedding} is not the first output of its node")
        layers = tuple(_LayerReader(nodes, node_name(image)).until(node_name(embedding)))
        shape = _shape(nodes[node_name(image)])
        _check_used_once(layers)
    except _UnknownError as error:
        raise CannotRetrainError(
            f"--fine-tune cannot rebuild this backbone in Keras: {error}; leave out --fine-tune, or "
            "--backbone"
        ) from error
    return Layers(shape, layers)


class _LayerReader:
    def __init__(self, nodes: Mapping[str, Any], image: str) -> None:
        self._nodes = nodes
        self._image = image

    def until(self, last: str) -> Iterator[Layer]:
        """The layers that one needs, each after its inputs. Not recursive: networks are deep."""
        done: set[str] = set()
        waiting = [last]
        while waiting:
            name = waiting[-1]
            if name in done:
                waiting.pop()
                continue
            layer = self._layer(name)
            if missing := [each for each in layer.inputs if each not in done]:
                waiting.extend(missing)
                continue
            done.add(name)
            yield layer

    def _layer(self, name: str) -> Layer:
        node = self._nodes[name]
        kind = _KINDS.get(node.op)
        if kind is None or (kind == INPUT) != (name == self._image):
            raise _UnknownError(f"{name} is a {node.op}")
        inputs = [self._through(each) for each in node.input if not each.startswith("^")]
        if kind == INPUT:
            return Layer(name, kind)
        if kind == SUM:
            return Layer(name, kind, tuple(inputs))
        if kind == MEAN:
            if self._values(inputs[1]).tolist() not in _SPATIAL:
                raise _UnknownError(f"{name} is a mean of other dimensions than height and width")
            return Layer(name, kind, (inputs[0],), keeps_dimensions=node.attr["keep_dims"].b)
        if kind not in _WITH_WEIGHTS:
            return Layer(name, kind, (inputs[0],))
        if node.attr["data_format"].s not in (b"", b"NHWC"):
            raise _UnknownError(f"{name} has its channels first")
        weights = self._values(inputs[1]).astype(np.float32)
        if kind == BIAS:
            return Layer(name, kind, (inputs[0],), inputs[1], weights)
        stride, padding = _window(node)
        return Layer(name, kind, (inputs[0],), inputs[1], weights, stride, padding)

    def _through(self, tensor: str) -> str:
        """The node behind copies and casts."""
        name, _, output = tensor.partition(":")
        if output not in ("", "0"):
            raise _UnknownError(f"{tensor} is not the first output of its node")
        while self._nodes[name].op in _AS_THEY_ARE:
            name = node_name(self._nodes[name].input[0])
        return name

    def _values(self, name: str) -> npt.NDArray[Any]:
        node = self._nodes[name]
        if node.op != "Const":
            raise _UnknownError(f"{name} is a {node.op}, and no constant")
        values: npt.NDArray[Any] = tf.make_ndarray(node.attr["value"].tensor)
        return values


def _check_used_once(layers: Sequence[Layer]) -> None:
    """A constant that two layers share could only be trained as one."""
    for name, times in Counter(each.constant for each in layers if each.constant).items():
        if times > 1:
            raise _UnknownError(f"{name} is used {times} times")


def _window(node: Any) -> tuple[int, str]:
    """The stride and padding of a convolution."""
    strides, dilations = list(node.attr["strides"].list.i), list(node.attr["dilations"].list.i)
    padding = node.attr["padding"].s.decode().lower()
    if strides != [1, strides[1], strides[1], 1] or any(each != 1 for each in dilations):
        raise _UnknownError(f"{node.name} has strides {strides} and dilations {dilations}")
    if padding not in ("same", "valid"):
        raise _UnknownError(f"{node.name} has padding of its own")
    return strides[1], padding


def _shape(node: Any) -> tuple[int, int, int]:
    sizes = [dimension.size for dimension in node.attr["shape"].shape.dim]
    if len(sizes) != _PIXELS or min(sizes[1:]) < 1 or node.attr["dtype"].type != tf.float32.as_datatype_enum:
        raise _UnknownError(f"{node.name} does not take float32 images of one size")
    height, width, channels = sizes[1:]
    return height, width, channels
