"""A model's signatures: what can be asked of it, as frozen values. No TensorFlow.

The words are TensorFlow's own: a signature has inputs and outputs, each of which is a `TensorInfo`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tfleet.contract.example_values import ShownExample

DEFAULT_SIGNATURE: Final = "serving_default"
"""The signature that a request means which names none (DEFAULT_SERVING_SIGNATURE_DEF_KEY)."""

# DataType in tensorflow/core/framework/types.proto, with the names that tf.DType has for them.
_DTYPES: Final[Mapping[int, str]] = {
    1: "float32",
    2: "float64",
    3: "int32",
    4: "uint8",
    5: "int16",
    6: "int8",
    7: "string",
    8: "complex64",
    9: "int64",
    10: "bool",
    11: "qint8",
    12: "quint8",
    13: "qint32",
    14: "bfloat16",
    15: "qint16",
    16: "quint16",
    17: "uint16",
    18: "complex128",
    19: "float16",
    20: "resource",
    21: "variant",
    22: "uint32",
    23: "uint64",
    24: "float8_e5m2",
    25: "float8_e4m3fn",
    29: "int4",
    30: "uint4",
}
_REFERENCES: Final = 100  # added to a type's number where TensorFlow 1 has a reference to it (DT_FLOAT_REF)


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """An input or output of a signature.

    `name` is its name in the signature, `tensor` that in the graph, such as `serving_default_x:0`; that is
    empty for a sparse or composite one, which has several tensors. `dtype` is TensorFlow's name of the type.
    A `shape` of None is an unknown rank, and a dimension of None has any size. An `optional` input has a
    default, and may be left out. `tf_example` is one that the input may hold, see parsed_examples.py.
    """

    name: str
    tensor: str
    dtype: str
    shape: tuple[int | None, ...] | None
    optional: bool = False
    tf_example: ShownExample | None = None

    def __str__(self) -> str:
        """Such as `image float32[?, 224, 224, 3]`; `float32?` is of unknown rank."""
        return f"{self.name} {self.dtype}{shape_text(self.shape)}"


@dataclass(frozen=True, slots=True)
class Signature:
    """A function of a model. Inputs and outputs are sorted by name.

    `method` is TensorFlow's method name, such as `tensorflow/serving/classify`. `stateful` says that a run
    assigns to variables, so that an answer depends on the requests before. `by_value` says that it takes
    tensors of any shape, see by_value.py.
    """

    name: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    method: str = ""
    stateful: bool = False
    by_value: bool = False

    def input(self, name: str) -> TensorInfo | None:
        """The input of this name; None if there is none."""
        return next((info for info in self.inputs if info.name == name), None)

    def output(self, name: str) -> TensorInfo | None:
        """The output of this name; None if there is none."""
        return next((info for info in self.outputs if info.name == name), None)


def shape_text(shape: tuple[int | None, ...] | None) -> str:
    """A shape as messages have it: `[?, 224, 224, 3]`, or `?` for an unknown rank."""
    if shape is None:
        return "?"
    return f"[{', '.join('?' if size is None else str(size) for size in shape)}]"


def dtype_name(number: int) -> str:
    """TensorFlow's name of a DataType, given by its number in the protocol buffer."""
    plain = number - _REFERENCES if number > _REFERENCES else number
    return _DTYPES.get(plain, f"type {number}")


def read_signature(name: str, definition: Any) -> Signature:
    """A signature from its SignatureDef, of TensorFlow's own protocol buffers or of any with the same
    fields.
    """
    return Signature(name, _infos(definition.inputs), _infos(definition.outputs), definition.method_name)


def _infos(definitions: Mapping[str, Any]) -> tuple[TensorInfo, ...]:
    return tuple(
        TensorInfo(name, info.name, dtype_name(info.dtype), _shape(info.tensor_shape))
        for name, info in sorted(definitions.items())
    )


def _shape(definition: Any) -> tuple[int | None, ...] | None:
    if definition.unknown_rank:
        return None
    return tuple(None if dim.size < 0 else int(dim.size) for dim in definition.dim)
