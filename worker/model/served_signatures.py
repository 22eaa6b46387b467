"""Which signatures are served: a SavedModel's own, or those that are stated or found in a frozen graph.

A frozen graph has no signature. Without `[signatures]` in model.toml and without `--input-layer` its inputs
are its placeholders, and its outputs the results that nothing else in the graph uses. That is all there is,
so nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from tfleet.worker.model.dtypes import numpy_dtype
from tfleet.worker.model.endpoints import find_tensor, list_inputs, list_outputs
from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.facts import default_signature
from tfleet.worker.model.signature import DEFAULT_SIGNATURE, Signature, TensorInfo, dtype_name
from tfleet.worker.model.tensorflow import tf

if TYPE_CHECKING:
    from tfleet.worker.model.spec import ModelSpec

_PLACEHOLDER: Final = "Placeholder"
_WITH_DEFAULT: Final = "PlaceholderWithDefault"
# What is no result, though nothing uses it.
_NO_RESULTS: Final = frozenset({"Const", "NoOp", "Assert", "Print", "PrintV2", _PLACEHOLDER, _WITH_DEFAULT})
# A loop of TensorFlow 1 ends with one of these for each of its variables, its counter among them.
_LOOP_END: Final = "Exit"
_FIRST: Final = ":0"


@dataclass(frozen=True, slots=True)
class ServedSignatures:
    """The signatures by name. `default` is the one for requests that name none; None where there is none."""

    by_name: Mapping[str, Signature]
    default: str | None


def served_signatures(
    spec: ModelSpec, graph: tf.Graph, own: Mapping[str, Signature] | None
) -> ServedSignatures:
    """The signatures to serve; `own` are a SavedModel's, and None for a frozen graph. Raises `ModelError`."""
    if own is None:
        signatures = _stated(spec, graph) or {DEFAULT_SIGNATURE: _whole(graph)}
    else:
        if spec.serving.signatures:
            raise ModelError(f"{spec.origin}: a SavedModel has its own signatures: remove [signatures]")
        signatures = {name: _with_optional_inputs(each, graph) for name, each in own.items()}
    default = default_signature(spec, signatures)
    if not signatures and spec.input.tensor is None:
        raise ModelError(
            f"{spec.origin}: has no signature: save it with signatures=, as in tf.saved_model.save(model, "
            "folder, signatures=model.f) for a tf.function f with an input signature"
        )
    if spec.input.tensor is not None or spec.output.tensor is not None:
        default = default or DEFAULT_SIGNATURE
        base = signatures.get(default, Signature(default, (), ()))
        signatures[default] = _with_named_tensors(spec, graph, base, None if own is None else base)
    return ServedSignatures(signatures, default)


def _stated(spec: ModelSpec, graph: tf.Graph) -> dict[str, Signature]:
    """The signatures that model.toml states."""
    found = {}
    for name, stated in spec.serving.signatures.items():
        where = f"signatures.{name} in {spec.described_by}"
        inputs = [
            _info(each, find_tensor(spec, graph, tensor, where, list_inputs(graph, None)))
            for each, tensor in sorted(stated.inputs.items())
        ]
        outputs = [
            _info(each, find_tensor(spec, graph, tensor, where, list_outputs(graph, None)))
            for each, tensor in sorted(stated.outputs.items())
        ]
        found[name] = Signature(name, tuple(inputs), tuple(outputs))
    return found


def _with_named_tensors(
    spec: ModelSpec, graph: tf.Graph, signature: Signature, listed: Signature | None
) -> Signature:
    """The signature with the inputs and outputs that input.tensor and output.tensor name.

    Each may be a tensor of the graph or a name in the signature, and several of them with commas between.
    Errors list what `listed` has, or the graph.
    """
    inputs, outputs = signature.inputs, signature.outputs
    if spec.input.tensor is not None:
        setting = spec.setting("input.tensor", "--input-layer")
        available = list_inputs(graph, listed)
        inputs = _named(spec, graph, spec.input.tensor, inputs, (setting, available))
    if spec.output.tensor is not None:
        setting = spec.setting("output.tensor", "--output-layer")
        available = list_outputs(graph, listed)
        outputs = _named(spec, graph, spec.output.tensor, outputs, (setting, available))
    return replace(signature, inputs=inputs, outputs=outputs)


def _named(
    spec: ModelSpec, graph: tf.Graph, names: str, known: tuple[TensorInfo, ...], where: tuple[str, str]
) -> tuple[TensorInfo, ...]:
    found = []
    for each in names.split(","):
        name, equals, tensor = each.strip().partition("=")
        info = next((info for info in known if info.name == name), None)
        if equals or info is None:
            tensor = tensor if equals else name
            info = _info(
                name if equals else tensor.removesuffix(_FIRST), find_tensor(spec, graph, tensor, *where)
            )
        found.append(info)
    return tuple(sorted(found, key=lambda info: info.name))


def _whole(graph: tf.Graph) -> Signature:
    """All that goes into a graph, and all that comes out of it."""
    operations = graph.get_operations()
    inputs = [
        _info(operation.name, operation.outputs[0])
        for operation in operations
        if operation.type in {_PLACEHOLDER, _WITH_DEFAULT}
    ]
    awaited = {before.name for operation in operations for before in operation.control_inputs}  # assertions
    results = [
        operation
        for operation in operations
        if operation.type not in _NO_RESULTS
        and operation.name not in awaited
        and not any(tensor.consumers() for tensor in operation.outputs)
    ]
    results = [operation for operation in results if operation.type != _LOOP_END] or results
    outputs = [
        _info(tensor.name.removesuffix(_FIRST), tensor)
        for operation in results
        for tensor in operation.outputs
        if numpy_dtype(_dtype(tensor)) is not None
    ]
    by_name = {info.name: info for info in sorted([*inputs, *outputs], key=lambda info: info.name)}
    names = {info.name for info in inputs}
    return Signature(
        DEFAULT_SIGNATURE,
        tuple(info for name, info in by_name.items() if name in names),
        tuple(info for name, info in by_name.items() if name not in names),
    )


def _with_optional_inputs(signature: Signature, graph: tf.Graph) -> Signature:
    inputs = tuple(replace(info, optional=_has_default(info.tensor, graph)) for info in signature.inputs)
    return replace(signature, inputs=inputs)


def _has_default(tensor: str, graph: tf.Graph) -> bool:
    try:
        return bool(tensor) and graph.get_tensor_by_name(tensor).op.type == _WITH_DEFAULT
    except (KeyError, ValueError):
        return False


def _info(name: str, tensor: tf.Tensor) -> TensorInfo:
    shape = None if tensor.shape.rank is None else tuple(tensor.shape.as_list())
    return TensorInfo(name, tensor.name, _dtype(tensor), shape, tensor.op.type == _WITH_DEFAULT)


def _dtype(tensor: tf.Tensor) -> str:
    return dtype_name(tensor.dtype.base_dtype.as_datatype_enum)
