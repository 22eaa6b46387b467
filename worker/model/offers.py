"""What a graph offers, in words: for the operator who named a tensor that it does not have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tfleet.worker.model.graph import Signature
    from tfleet.worker.model.quiet import tf

# As many as one line of a terminal or two can hold.
_SHOWN: Final = 5
_CLASS_ROWS_RANK: Final = 2


def inputs_offered(graph: tf.Graph, signature: Signature | None) -> str:
    """The inputs of the signature, else the graph's placeholders."""
    if signature is not None and signature.inputs:
        return f"the signature's inputs are {', '.join(signature.inputs)}"
    placeholders = [
        operation.outputs[0]
        for operation in graph.get_operations()
        if operation.type in {"Placeholder", "PlaceholderWithDefault"}
    ]
    if not placeholders:
        return "the graph has no placeholder"
    return f"the graph's placeholders are {_described(placeholders[:_SHOWN])}"


def outputs_offered(graph: tf.Graph, signature: Signature | None) -> str:
    """The outputs of the signature, else the graph's last results that could hold a row for each image."""
    if signature is not None and signature.outputs:
        return f"the signature's outputs are {', '.join(signature.outputs)}"
    candidates = [
        tensor
        for operation in graph.get_operations()
        if operation.type not in {"Const", "Placeholder"}
        for tensor in operation.outputs
        if tensor.dtype.is_floating and tensor.shape.rank in {None, _CLASS_ROWS_RANK}
    ]
    # What nothing else takes as its input comes last and so is shown first.
    candidates.sort(key=lambda tensor: not tensor.consumers())
    if not candidates:
        return "the graph has no output of that kind"
    return f"the graph's last results are {_described(candidates[: -_SHOWN - 1 : -1])}"


def describe(tensor: tf.Tensor) -> str:
    """A tensor's name, type and shape: `image:0 float32[?, 224, 224, 3]`."""
    shape = tensor.shape
    dimensions = "?" if shape.rank is None else f"[{', '.join(_size(size) for size in shape.as_list())}]"
    return f"{tensor.name} {tensor.dtype.name}{dimensions}"


def _described(tensors: list[Any]) -> str:
    return ", ".join(describe(tensor) for tensor in tensors)


def _size(size: int | None) -> str:
    return "?" if size is None else str(size)
