"""Find the tensors of an image model's input and output, and check them against the model's description.

The error for a missing tensor lists those that the graph has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tfleet.worker.image.geometry import Geometry, Scaling
from tfleet.worker.model.dtypes import numpy_dtype
from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.facts import scaling_of
from tfleet.worker.model.pixel_layout import PixelLayout, pixel_layout
from tfleet.worker.model.signature import shape_text
from tfleet.worker.model.tensorflow import tf

if TYPE_CHECKING:
    from tfleet.worker.model.graph_facts import PixelRange
    from tfleet.worker.model.signature import Signature, TensorInfo
    from tfleet.worker.model.spec import Channels, ModelSpec
    from tfleet.worker.model.tensorflow import tf

# As many as fit into one or two lines of a terminal.
_MAX_LISTED: Final = 5
_CLASS_ROWS_RANK: Final = 2


def list_inputs(graph: tf.Graph, signature: Signature | None) -> str:
    """A clause for an error message: the signature's inputs, or else the graph's placeholders."""
    if signature is not None and signature.inputs:
        return f"the signature's inputs are {_names(signature.inputs)}"
    placeholders = [
        operation.outputs[0]
        for operation in graph.get_operations()
        if operation.type in {"Placeholder", "PlaceholderWithDefault"}
    ]
    if not placeholders:
        return "the graph has no placeholder"
    return f"the graph's placeholders are {_described(placeholders[:_MAX_LISTED])}"


def list_outputs(graph: tf.Graph, signature: Signature | None) -> str:
    """A clause for an error message: the signature's outputs, or else the last results with a row for each
    image.
    """
    if signature is not None and signature.outputs:
        return f"the signature's outputs are {_names(signature.outputs)}"
    candidates = [
        tensor
        for operation in graph.get_operations()
        if operation.type not in {"Const", "Placeholder"}
        for tensor in operation.outputs
        if tensor.dtype.is_floating and tensor.shape.rank in {None, _CLASS_ROWS_RANK}
    ]
    # Results that no other operation uses are the likeliest outputs. Sorted last, they are listed first.
    candidates.sort(key=lambda tensor: not tensor.consumers())
    if not candidates:
        return "the graph has no output of that kind"
    return f"the graph's last results are {_described(candidates[: -_MAX_LISTED - 1 : -1])}"


def describe(tensor: tf.Tensor) -> str:
    """A tensor's name, type and shape, such as `image:0 float32[?, 224, 224, 3]`."""
    shape = tensor.shape
    sizes = None if shape.rank is None else tuple(shape.as_list())
    return f"{tensor.name} {tensor.dtype.name}{shape_text(sizes)}"


def _described(tensors: list[Any]) -> str:
    return ", ".join(describe(tensor) for tensor in tensors)


def _names(infos: tuple[TensorInfo, ...]) -> str:
    more = f" and {len(infos) - _MAX_LISTED} more" if len(infos) > _MAX_LISTED else ""
    return ", ".join(str(info) for info in infos[:_MAX_LISTED]) + more


_TWO_LABELS: Final = 2
_ROWS_RANK: Final = 2  # batch, classes
_FLOAT32: Final = np.dtype(np.float32)
_INTEGERS: Final = frozenset({"uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"})
_FLOATS: Final = frozenset({"float16", "bfloat16", "float32", "float64"})


@dataclass(frozen=True, slots=True)
class PixelInput:
    """`tensor` takes decoded images of one size, laid out as `layout` says, as numbers of type `dtype`.

    `scaling` is None if it takes pixels as decoded, 0 to 255. `channels` is the order of the colours.
    """

    tensor: tf.Tensor
    layout: PixelLayout
    geometry: Geometry
    scaling: Scaling | None
    channels: Channels = "rgb"
    dtype: np.dtype[Any] = _FLOAT32

    @property
    def batch(self) -> int | None:
        """The graph's fixed number of images, or None if it takes any number."""
        return self.layout.batch


@dataclass(frozen=True, slots=True)
class EncodedInput:
    """`tensor` takes the bytes of image files: one string (`scalar`), or a vector of them."""

    tensor: tf.Tensor
    batch: int | None
    scalar: bool


def find_input(
    spec: ModelSpec, graph: tf.Graph, signature: Signature, pixels: PixelRange | None = None
) -> PixelInput | EncodedInput:
    """The signature's only required input. Raises `ModelError` if it takes no images.

    `pixels` is the range of pixels that the graph's own first operations expect.
    """
    available = list_inputs(graph, signature)
    setting = spec.setting("input.tensor", "--input-layer")
    required = tuple(info for info in signature.inputs if not info.optional)
    info = _only(spec, required, setting, available)
    tensor = find_tensor(spec, graph, info.tensor, setting, available)
    if not graph.is_feedable(tensor):
        raise ModelError(f"{spec.origin}: {describe(tensor)} cannot be fed; {available}")
    if tensor.dtype == tf.string:
        return _encoded_input(spec, tensor)
    if tensor.dtype.name in _FLOATS | _INTEGERS:
        return _pixel_input(spec, tensor, scaling_of(spec, info, pixels).value)
    raise ModelError(
        f"{spec.origin}: the input {describe(tensor)} takes neither pixels (float32, uint8) nor encoded "
        f"images (string); {available}"
    )


def find_output(
    spec: ModelSpec, graph: tf.Graph, signature: Signature, feed: PixelInput | EncodedInput
) -> tf.Tensor:
    """The signature's only output. Raises `ModelError` if it does not fit the labels."""
    available = list_outputs(graph, signature)
    setting = spec.setting("output.tensor", "--output-layer")
    info = _only(spec, signature.outputs, setting, available)
    tensor = find_tensor(spec, graph, info.tensor, setting, available)
    ranks = {None, _ROWS_RANK}
    if isinstance(feed, PixelInput) and not feed.layout.batched:
        ranks = {None, 1, _ROWS_RANK}
    if not tensor.dtype.is_floating or tensor.shape.rank not in ranks:
        raise ModelError(
            f"{spec.origin}: the output {describe(tensor)} is not a row of probabilities for each image; "
            f"{available}"
        )
    if tensor.shape.rank is not None and tensor.shape[-1] is not None:
        check_classes(spec, int(tensor.shape[-1]))
    return tensor


def check_classes(spec: ModelSpec, classes: int) -> None:
    """Raise `ModelError` if the numbers of classes and labels differ.

    One number may have two labels: the probability of the second one.
    """
    labels = len(spec.labels)
    if not labels or classes == labels or (classes, labels) == (1, _TWO_LABELS):
        return
    hint = ""
    if labels == classes + 1:
        hint = f": remove the line that is no class; often it is the first, here {spec.labels[0]!r}"
    elif labels + 1 == classes:
        hint = ": add a line for the class that has none; often it is the first, a background"
    has = "1 class" if classes == 1 else f"{classes} classes"
    there = "is 1 label" if labels == 1 else f"are {labels} labels"
    raise ModelError(f"{spec.origin}: the graph has {has} and there {there}{hint}")


def find_tensor(spec: ModelSpec, graph: tf.Graph, name: str, setting: str, available: str) -> tf.Tensor:
    """The tensor of this name, `image:0` or `image`. `setting` says who named it. Raises `ModelError`."""
    try:
        return graph.get_tensor_by_name(name if ":" in name else f"{name}:0")
    except (KeyError, ValueError) as error:
        raise ModelError(f"{spec.origin}: has no tensor {name!r} ({setting}); {available}") from error


def _only(spec: ModelSpec, infos: tuple[TensorInfo, ...], setting: str, available: str) -> TensorInfo:
    if len(infos) != 1:
        problem = "there is more than one" if infos else "there is none"
        raise ModelError(f"{spec.origin}: set {setting}: {problem}; {available}")
    return infos[0]


def _encoded_input(spec: ModelSpec, tensor: tf.Tensor) -> EncodedInput:
    rank = tensor.shape.rank
    if rank is None or rank > 1:
        raise ModelError(
            f"{spec.origin}: the input {describe(tensor)} is neither a string nor a vector of strings: name "
            "an input that takes one image or any number of images"
        )
    scalar = rank == 0
    return EncodedInput(tensor, 1 if scalar else tensor.shape[0], scalar)


def _pixel_input(spec: ModelSpec, tensor: tf.Tensor, scaling: Scaling | None) -> PixelInput:
    layout = pixel_layout(None if tensor.shape.rank is None else tuple(tensor.shape.as_list()))
    if layout is None:
        raise ModelError(
            f"{spec.origin}: the input {describe(tensor)} is not a batch of images "
            "[N, height, width, channels] of 1, 3 or 4 channels"
        )
    height, width = _input_size(spec, tensor, layout.height, layout.width)
    described = spec.input
    geometry = Geometry(height, width, described.crop, described.resample, described.antialias)
    dtype = numpy_dtype(tensor.dtype.name)
    assert dtype is not None, "the caller has looked at the type"
    if scaling is not None:
        _check_numbers(spec, layout, scaling)
    return PixelInput(tensor, layout, geometry, scaling, described.channels, dtype)


def _check_numbers(spec: ModelSpec, layout: PixelLayout, scaling: Scaling) -> None:
    for name, numbers in (("mean", scaling.mean), ("std", scaling.std)):
        if len(numbers) not in {1, layout.depth}:
            setting = spec.setting(f"input.{name}", f"--input-{name}")
            raise ModelError(
                f"{spec.origin}: {setting} has {len(numbers)} numbers, and the images {layout.depth} channels"
            )


def _input_size(spec: ModelSpec, tensor: tf.Tensor, height: int | None, width: int | None) -> tuple[int, int]:
    setting = spec.setting("input.size", "--input-size")
    if spec.input.size is not None:
        set_height, set_width = spec.input.size
        if height not in {None, set_height} or width not in {None, set_width}:
            raise ModelError(
                f"{spec.origin}: {setting} is {set_height} x {set_width}, but the input is {describe(tensor)}"
            )
        return spec.input.size
    if height is None or width is None:
        raise ModelError(
            f"{spec.origin}: the input {describe(tensor)} does not state its size: set {setting}"
        )
    return height, width
