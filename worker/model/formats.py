"""Tell what a model's file is by its first bytes, before TensorFlow is imported.

A file that no worker can serve is refused in one line: what it is, and what to do. The name of a file
decides nothing: people rename files, and a download may be a web page.
"""

from __future__ import annotations

import re
import zipfile
from enum import StrEnum
from io import BytesIO
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO, Final, NoReturn

from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.protobuf_fields import (
    LENGTH_DELIMITED,
    VARINT,
    NotProtobufError,
    WireField,
    read_fields,
    read_text,
)
from tfleet.worker.model.table_file import MAGIC as TABLE_MAGIC

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class ModelFormat(StrEnum):
    """The formats that a worker serves."""

    SAVED_MODEL = "SavedModel"
    FROZEN_GRAPH = "frozen graph"
    KERAS = "Keras file (.keras)"
    HDF5 = "Keras file (.h5)"


_SERVED: Final = "tfleet serves SavedModels, .keras, .h5 and frozen graphs (.pb)"
_ORIGINAL: Final = "give the model that it was converted from (SavedModel, .keras, .h5 or frozen graph)"
_WEIGHTS: Final = (
    "weights without an architecture: build the model in Python, load them there, and save all of it "
    "(model.save('model.keras') or model.export(FOLDER))"
)
_PYTORCH: Final = (
    "is a PyTorch file, which tfleet does not serve: export it to ONNX (torch.onnx.export) and convert "
    "that to a SavedModel (onnx2tf -osd -i MODEL.onnx -o FOLDER)"
)
_PICKLE: Final = (
    "is a Python pickle (scikit-learn, joblib or PyTorch), not a TensorFlow model; reading it would run "
    "code. Save the model as a SavedModel or .keras"
)
_ONNX: Final = (
    "is an ONNX model, which tfleet does not serve: convert it to a SavedModel "
    "(onnx2tf -osd -i MODEL.onnx -o FOLDER)"
)
_ARCHIVE: Final = "is a compressed archive: unpack it, and give the folder or file in it"

_HEAD_BYTES: Final = 512
_NODE_BYTES: Final = 4096
_HDF5: Final = b"\x89HDF\r\n\x1a\n"
# HDF5 allows a block of the user's own before its first bytes, of 512 bytes or a power of two times that.
_HDF5_OFFSETS: Final = (512, 1024, 2048)
_LFS: Final = b"version https://git-lfs.github.com/"
_ZIP: Final = b"PK\x03\x04"

# (offset, bytes, what the file is). The first that matches counts.
_REFUSED: Final[tuple[tuple[int, bytes, str], ...]] = (
    (
        4,
        b"TFL3",
        f"is a TensorFlow Lite model (.tflite), which tfleet does not serve: {_ORIGINAL}",
    ),
    (
        0,
        _LFS,
        "is a Git LFS pointer, not the model itself: run `git lfs pull`",
    ),
    (0, b"\x93NUMPY", f"is a NumPy array: {_WEIGHTS}"),
    (0, b"GGUF", f"is a GGUF file, not a TensorFlow model; {_SERVED}"),
    (0, b"\x1f\x8b", _ARCHIVE),
    (0, b"BZh", _ARCHIVE),
    (0, b"\xfd7zXZ\x00", _ARCHIVE),
    (0, b"\x28\xb5\x2f\xfd", _ARCHIVE),
    (0, b"7z\xbc\xaf", _ARCHIVE),
    (257, b"ustar", _ARCHIVE),
    (0, b"\xff\xd8\xff", f"is a JPEG image, not a model; {_SERVED}"),
    (0, b"\x89PNG", f"is a PNG image, not a model; {_SERVED}"),
    *((0, bytes([0x80, protocol]), _PICKLE) for protocol in range(2, 6)),
)
# The first characters of text files, without white space before them.
_REFUSED_TEXTS: Final[tuple[tuple[re.Pattern[bytes], str], ...]] = (
    (
        re.compile(rb"(?i)<!doctype html|<html"),
        "is a web page, not a model: the download went wrong, or needs a login",
    ),
    (
        re.compile(rb"(node|library|versions|meta_graphs|saved_model_schema_version)\b[ \t]*[:{]"),
        "is a graph in text form (.pbtxt): write it in binary form (tf.io.write_graph(..., "
        "as_text=False)), or export a SavedModel",
    ),
    (
        re.compile(rb'\{\s*"(format|modelTopology|weightsManifest|generatedBy)"'),
        "is a TensorFlow.js model, which tfleet does not serve: give the model that it was converted "
        "from, or convert it back "
        "(tensorflowjs_converter --input_format=tfjs_layers_model --output_format=keras_saved_model)",
    ),
    (
        re.compile(rb'\{\s*"(class_name|module|config|keras_version|backend)"'),
        "is a Keras architecture without weights (JSON): load the weights into it in Python, and save all "
        "of it (model.save('model.keras'))",
    ),
    (
        re.compile(rb"model_checkpoint_path\b"),
        f"names a TensorFlow checkpoint, which is {_WEIGHTS}",
    ),
)
_SAFETENSORS_HEAD: Final = 8  # the size of its JSON header, before the header itself
# Core ML: 1 = its version, 2 = about it, and one field from 200 on, whose number is the kind of the model.
_CORE_ML_KINDS: Final = 200
_OPERATION: Final = re.compile(rb"[A-Za-z_>][\w>./-]*")


def file_format(path: Path) -> ModelFormat:
    """What the file is. Raises `ModelError` if no worker can serve it, or if it is cut off or unreadable.

    Whether a HDF5 file has an architecture is not told: that is inside.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            return _format(path, file, size)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror or error}") from error


def is_lfs_pointer(path: Path) -> bool:
    """Whether Git LFS has left only the name of the content in the file."""
    with path.open("rb") as file:
        return file.read(len(_LFS)) == _LFS


def _format(path: Path, file: BinaryIO, size: int) -> ModelFormat:
    head = file.read(_HEAD_BYTES)
    if not head:
        _refuse(path, "is empty (0 bytes): copy or download it again")
    if head.startswith(_HDF5):
        return ModelFormat.HDF5
    if head.startswith(_ZIP):
        return _zip_format(path, file)
    _refuse_by_head(path, head, size)
    # After the refusals: a tar archive may have a HDF5 file at just such a place.
    for offset in _HDF5_OFFSETS:
        file.seek(offset)
        if file.read(len(_HDF5)) == _HDF5:
            return ModelFormat.HDF5
    file.seek(max(0, size - len(TABLE_MAGIC)))
    if file.read() == TABLE_MAGIC:
        _refuse(path, f"is the index of a TensorFlow checkpoint: {_WEIGHTS}")
    return _protobuf_format(path, file, size)


def _refuse_by_head(path: Path, head: bytes, size: int) -> None:
    for offset, magic, refusal in _REFUSED:
        if head[offset:].startswith(magic):
            _refuse(path, refusal)
    text = head.lstrip()
    for pattern, refusal in _REFUSED_TEXTS:
        if pattern.match(text):
            _refuse(path, refusal)
    json = head[_SAFETENSORS_HEAD:]
    if json.startswith((b'{"', b"{ ")) and int.from_bytes(head[:_SAFETENSORS_HEAD], "little") < size:
        _refuse(path, f"is a safetensors file: {_WEIGHTS}")


def _zip_format(path: Path, file: BinaryIO) -> ModelFormat:
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise ModelError(f"{path}: is a damaged or cut off zip file ({error}): copy it again") from error
    if "config.json" in names:
        return ModelFormat.KERAS
    if any(name.endswith(("/data.pkl", "/constants.pkl")) for name in names):
        _refuse(path, _PYTORCH)
    if names and all(name.endswith(".npy") for name in names):
        _refuse(path, f"is an archive of NumPy arrays (.npz): {_WEIGHTS}")
    if "model.weights.h5" in names or any(name.endswith(".weights.h5") for name in names):
        _refuse(path, f"has no config.json: {_WEIGHTS}")
    raise ModelError(
        f"{path}: is a zip file, but not of Keras (it has no config.json): unpack it, and give what is in it"
    )


def _protobuf_format(path: Path, file: BinaryIO, size: int) -> ModelFormat:
    try:
        fields = list(read_fields(file, size))
    except NotProtobufError:
        fields = []
    if not fields:
        _refuse(path, f"is not a model that tfleet knows, or is damaged; {_SERVED}")
    kinds = {(field.number, field.kind) for field in fields}
    # SavedModel: 1 = schema version, 2 = the meta graphs. ONNX: 1 = its version, 7 = the graph.
    if fields[0].kind == VARINT and (7, LENGTH_DELIMITED) in kinds:
        _refuse(path, _ONNX)
    if fields[0].kind == VARINT and fields[-1].number >= _CORE_ML_KINDS:
        _refuse(path, f"is a Core ML model, which tfleet does not serve: {_ORIGINAL}")
    if kinds <= {(1, VARINT), (2, LENGTH_DELIMITED)} and (2, LENGTH_DELIMITED) in kinds:
        found = ModelFormat.SAVED_MODEL
    elif _has_nodes(file, fields):
        found = ModelFormat.FROZEN_GRAPH
    elif kinds & {(4, LENGTH_DELIMITED), (5, LENGTH_DELIMITED)} and fields[0].kind == LENGTH_DELIMITED:
        # A MetaGraphDef: 1 = about it, 2 = its graph, 3 = its saver, 4 = collections, 5 = signatures.
        _refuse(
            path,
            "is the graph of a TensorFlow 1 checkpoint (.meta), without its variables: export a SavedModel",
        )
    else:
        _refuse(path, f"is not a model that tfleet knows, or is damaged; {_SERVED}")
    missing = fields[-1].start + fields[-1].size - size
    if missing > 0:
        _refuse(path, f"is cut off: at least {missing} bytes are missing after its {size}; copy it again")
    return found


def _has_nodes(file: BinaryIO, fields: Sequence[WireField]) -> bool:
    """Whether these are the fields of a GraphDef, the first of which is a node.

    A node begins with its name (1) and its operation (2). A GraphDef with functions only is no frozen graph.
    """
    first = fields[0]
    if (first.number, first.kind) != (1, LENGTH_DELIMITED):
        return False
    node = BytesIO(read_text(file, first, _NODE_BYTES))
    try:
        name, operation = islice(read_fields(node, len(node.getvalue())), 2)
    except (NotProtobufError, ValueError):  # no protocol buffer, or less than two fields
        return False
    numbers = [(field.number, field.kind) for field in (name, operation)]
    if numbers != [(1, LENGTH_DELIMITED), (2, LENGTH_DELIMITED)]:
        return False
    return _OPERATION.fullmatch(read_text(node, operation, _NODE_BYTES)) is not None


def _refuse(path: Path, refusal: str) -> NoReturn:
    raise ModelError(f"{path}: {refusal}")
