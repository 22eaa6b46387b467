"""The examples that come with a model: one row each, by signature.

- `examples.json` beside the model: the JSON body of a request, for the default signature.
- `assets.extra/tf_serving_warmup_requests` in a SavedModel: TensorFlow Serving's warm-up requests, of which
  those for Predict are read. https://www.tensorflow.org/tfx/serving/saved_model_warmup
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy.typing as npt
from google.protobuf.message import DecodeError  # type: ignore[import-untyped] # comes with TensorFlow, no types

from tfleet.worker.inference.rows import maps_rows
from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.protobuf_fields import LENGTH_DELIMITED, NotProtobufError, read_fields
from tfleet.worker.model.tensorflow import TensorProto, tf

if TYPE_CHECKING:
    from tfleet.worker.inference.model_session import ModelSession
    from tfleet.worker.model.signature import Signature

ReadBody: TypeAlias = Callable[[bytes, "Signature", tuple[str, ...]], Mapping[str, npt.NDArray[Any]]]
"""Reads the JSON body of a request for a signature, whose one vector may have named columns. Raises
ValueError with a line that says what is wrong."""

EXAMPLES: Final = "examples.json"
WARM_UP_REQUESTS: Final = Path("assets.extra", "tf_serving_warmup_requests")
_MOST_ROWS: Final = 16
_MOST_BYTES: Final = 64 << 20
# Of a TFRecord: the length and its checksum, and a checksum behind the data.
_LENGTH_BYTES, _CHECKSUM_BYTES = 8, 4
# Numbers of fields in tensorflow_serving/apis: prediction_log.proto, predict.proto and model.proto.
_PREDICT_LOG, _REQUEST, _MODEL_SPEC, _INPUTS, _SIGNATURE_NAME, _KEY, _VALUE = 6, 1, 1, 2, 3, 1, 2

Rows: TypeAlias = Sequence[Mapping[str, npt.NDArray[Any]]]


def find_examples(session: ModelSession, read: ReadBody) -> Mapping[str, Rows]:
    """The examples of a model by signature. Raises `ModelError` if a file is wrong."""
    spec = session.spec
    found: dict[str, list[Mapping[str, npt.NDArray[Any]]]] = {}
    path = spec.folder / EXAMPLES
    if path.is_file() and session.default is not None:
        signature = session.signatures[session.default]
        try:
            inputs = read(_content(path), signature, session.facts.columns.value)
        except ValueError as error:
            raise ModelError(f"{path}: {error}") from error
        found[signature.name] = list(single_rows(signature, inputs))
    path = spec.path / WARM_UP_REQUESTS
    if path.is_file():
        for name, inputs in warm_up_requests(path):
            used = session.signatures.get(name or session.default or "")
            if used is not None and {info.name for info in used.inputs} >= inputs.keys():
                found.setdefault(used.name, []).extend(single_rows(used, inputs))
    return {name: rows[:_MOST_ROWS] for name, rows in found.items()}


def single_rows(
    signature: Signature, inputs: Mapping[str, npt.NDArray[Any]]
) -> Iterator[Mapping[str, npt.NDArray[Any]]]:
    """The rows of the inputs one by one; the inputs themselves where the signature has no rows."""
    rows = {len(array) for array in inputs.values() if array.ndim}
    if not maps_rows(signature) or len(rows) != 1:
        yield inputs
        return
    for row in range(min(rows.pop(), _MOST_ROWS)):
        yield {name: array[[row]] for name, array in inputs.items()}


def warm_up_requests(path: Path) -> Iterator[tuple[str, dict[str, npt.NDArray[Any]]]]:
    """The signature and the inputs of each Predict request in TensorFlow Serving's file.

    Raises `ModelError` if it is no such file.
    """
    try:
        for record in _records(_content(path)):
            for log in _fields(record, _PREDICT_LOG):
                for request in _fields(log, _REQUEST):
                    yield _predict_request(request)
    except (NotProtobufError, DecodeError, TypeError, ValueError) as error:
        raise ModelError(f"{path}: is no file of TensorFlow Serving's warm-up requests: {error}") from error


def _predict_request(request: bytes) -> tuple[str, dict[str, npt.NDArray[Any]]]:
    specs = [name for spec in _fields(request, _MODEL_SPEC) for name in _fields(spec, _SIGNATURE_NAME)]
    inputs = {}
    for entry in _fields(request, _INPUTS):
        (key,), (value,) = _fields(entry, _KEY), _fields(entry, _VALUE)
        inputs[key.decode()] = tf.make_ndarray(TensorProto.FromString(value))
    return (specs[-1].decode() if specs else ""), inputs


def _fields(message: bytes, number: int) -> list[bytes]:
    return [
        message[field.start : field.start + field.size]
        for field in read_fields(io.BytesIO(message), len(message))
        if field.number == number and field.kind == LENGTH_DELIMITED
    ]


def _records(content: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(content):
        length = int.from_bytes(content[position : position + _LENGTH_BYTES], "little")
        start = position + _LENGTH_BYTES + _CHECKSUM_BYTES
        if start + length + _CHECKSUM_BYTES > len(content):
            raise ValueError("it is cut off")
        yield content[start : start + length]
        position = start + length + _CHECKSUM_BYTES


def _content(path: Path) -> bytes:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ModelError(f"{path}: has more than {_MOST_BYTES >> 20} MiB")
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
