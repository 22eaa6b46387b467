"""Reads saved_model.pb and frozen graphs without TensorFlow, whose import takes seconds.

The messages have TensorFlow's names for all fields that tfleet needs; protobuf keeps the rest as unknown
bytes. So code that reads a GraphDef takes these as well as TensorFlow's own. They are described here and not
by TensorFlow's generated modules, because importing one of those imports TensorFlow.

The descriptors are in a pool of their own: in protobuf's default pool they would clash with TensorFlow's, as
soon as that is imported.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from google.protobuf import (  # type: ignore[import-untyped] # comes with TensorFlow, no types
    descriptor_pb2,
    descriptor_pool,
    message_factory,
)
from google.protobuf.message import DecodeError  # type: ignore[import-untyped] # comes with TensorFlow, no types

from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.signature import Signature, read_signature

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

SAVED_MODEL: Final = "saved_model.pb"
_PACKAGE: Final = "tfleet_model"
_MAX_BYTES: Final = (1 << 31) - 1  # the largest message that protobuf reads

# Each line is a field: its number, type and name. `*` is repeated, `{}` a map from strings. An enumeration is
# read as the number that it is.
_MESSAGES: Final[Mapping[str, str]] = {
    "SavedModel": "1 int64 saved_model_schema_version; 2 *MetaGraphDef meta_graphs",
    "MetaGraphDef": (
        "1 MetaInfoDef meta_info_def; 2 GraphDef graph_def; 3 SaverDef saver_def;"
        "4 {}CollectionDef collection_def; 5 {}SignatureDef signature_def; 6 *AssetFileDef asset_file_def"
    ),
    "MetaInfoDef": "4 *string tags; 5 string tensorflow_version",
    "SaverDef": "1 string filename_tensor_name; 3 string restore_op_name",
    "CollectionDef": "1 NodeList node_list; 2 BytesList bytes_list",
    "NodeList": "1 *string value",
    "BytesList": "1 *bytes value",
    "AssetFileDef": "1 TensorInfo tensor_info; 2 string filename",
    "SignatureDef": (
        "1 {}TensorInfo inputs; 2 {}TensorInfo outputs; 3 string method_name; 4 {}TensorProto defaults"
    ),
    "TensorInfo": "1 string name; 2 int32 dtype; 3 TensorShapeProto tensor_shape",
    "GraphDef": "1 *NodeDef node; 2 FunctionDefLibrary library",
    "FunctionDefLibrary": "1 *FunctionDef function",
    "FunctionDef": "1 OpDef signature; 3 *NodeDef node_def; 4 {}string ret",
    "OpDef": "1 string name; 2 *ArgDef input_arg; 3 *ArgDef output_arg",
    "ArgDef": "1 string name; 3 int32 type",
    "NodeDef": "1 string name; 2 string op; 3 *string input; 5 {}AttrValue attr",
    "AttrValue": (
        "1 ListValue list; 2 bytes s; 3 int64 i; 4 float f; 5 bool b; 6 int32 type; 7 TensorShapeProto shape;"
        "8 TensorProto tensor; 9 string placeholder; 10 NameAttrList func"
    ),
    "ListValue": (
        "2 *bytes s; 3 *int64 i; 4 *float f; 5 *bool b; 6 *int32 type; 7 *TensorShapeProto shape;"
        "8 *TensorProto tensor; 9 *NameAttrList func"
    ),
    "NameAttrList": "1 string name; 2 {}AttrValue attr",
    "TensorShapeProto": "2 *Dim dim; 3 bool unknown_rank",
    "Dim": "1 int64 size; 2 string name",
    "TensorProto": (
        "1 int32 dtype; 2 TensorShapeProto tensor_shape; 4 bytes tensor_content; 5 *float float_val;"
        "6 *double double_val; 7 *int32 int_val; 8 *bytes string_val; 10 *int64 int64_val; 11 *bool bool_val;"
        "13 *int32 half_val"
    ),
    # The index of a checkpoint, see `variables.py`.
    "BundleHeaderProto": "1 int32 num_shards; 2 int32 endianness",
    "BundleEntryProto": "1 int32 dtype; 3 int32 shard_id; 4 int64 offset; 5 int64 size",
}
_SCALARS: Final[Mapping[str, int]] = {
    "bool": descriptor_pb2.FieldDescriptorProto.TYPE_BOOL,
    "bytes": descriptor_pb2.FieldDescriptorProto.TYPE_BYTES,
    "double": descriptor_pb2.FieldDescriptorProto.TYPE_DOUBLE,
    "float": descriptor_pb2.FieldDescriptorProto.TYPE_FLOAT,
    "int32": descriptor_pb2.FieldDescriptorProto.TYPE_INT32,
    "int64": descriptor_pb2.FieldDescriptorProto.TYPE_INT64,
    "string": descriptor_pb2.FieldDescriptorProto.TYPE_STRING,
}
_UNIONS: Final[Mapping[str, str]] = {"AttrValue": "value"}  # messages of which one field is set
# Signatures of these names are no one's to call: they initialise and train.
_INTERNAL: Final = "__saved_model_"


@dataclass(frozen=True, slots=True)
class MetaGraph:
    """One graph of a SavedModel. `definition` is its MetaGraphDef."""

    tags: tuple[str, ...]
    signatures: Mapping[str, Signature]
    tensorflow_version: str
    definition: Any

    @property
    def assets(self) -> tuple[str, ...]:
        """The names of the files in `assets/` that the graph reads, such as vocabularies."""
        return tuple(sorted({asset.filename for asset in self.definition.asset_file_def}))


def read_saved_model(folder: Path) -> tuple[MetaGraph, ...]:
    """The graphs of the SavedModel in `folder`. Raises `ModelError`."""
    saved_model = new_message("SavedModel")
    file = folder / SAVED_MODEL
    try:
        parse(saved_model, file)
    except OSError as error:
        raise ModelError(f"{file}: cannot be read: {error.strerror}") from error
    if not saved_model.meta_graphs:
        raise ModelError(f"{file}: is a SavedModel without a graph: export it again")
    return tuple(map(_meta_graph, saved_model.meta_graphs))


def read_graph(path: Path) -> Any:
    """The GraphDef in a frozen graph's file. Raises `ModelError`."""
    graph = new_message("GraphDef")
    try:
        parse(graph, path)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    return graph


def operations(graph: Any) -> frozenset[str]:
    """The names of the operations in a GraphDef and in its functions. Calls of its functions are left out."""
    functions = {function.signature.name for function in graph.library.function}
    return frozenset(node.op for node in _nodes(graph)) - functions


def new_message(name: str) -> Any:
    """An empty message, such as `SavedModel`."""
    return _classes()[name]()


def parse(message: Any, file: Path) -> None:
    """Read the file into the message. Raises `ModelError` and OSError."""
    size = file.stat().st_size
    if size > _MAX_BYTES:
        raise ModelError(
            f"{file}: has {size} bytes, and protocol buffers have at most {_MAX_BYTES}: save the model with "
            "its weights as variables"
        )
    try:
        message.ParseFromString(file.read_bytes())
    except DecodeError as error:
        raise ModelError(f"{file}: is damaged or cut off: copy it again") from error


def _meta_graph(definition: Any) -> MetaGraph:
    signatures = {
        name: read_signature(name, signature)
        for name, signature in sorted(definition.signature_def.items())
        if not name.startswith(_INTERNAL)
    }
    about = definition.meta_info_def
    return MetaGraph(tuple(about.tags), signatures, about.tensorflow_version, definition)


def _nodes(graph: Any) -> Iterator[Any]:
    yield from graph.node
    for function in graph.library.function:
        yield from function.node_def


@cache
def _classes() -> Mapping[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name=f"{_PACKAGE}.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        if name in _UNIONS:
            message.oneof_decl.add(name=_UNIONS[name])
        for field in fields.split(";"):
            number, kind, field_name = field.split()
            _add_field(message, int(number), kind, field_name)
            if name in _UNIONS:
                message.field[-1].oneof_index = 0
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
        for name in _MESSAGES
    }


def _add_field(message: Any, number: int, kind: str, name: str) -> None:
    """Add a field to a DescriptorProto. `kind` is as in `_MESSAGES`."""
    of_field = descriptor_pb2.FieldDescriptorProto
    field = message.field.add(name=name, number=number, label=of_field.LABEL_OPTIONAL)
    if kind.startswith("{}"):
        # As the compiler does it: a map is a repeated message of a key and a value.
        entry = message.nested_type.add(name=f"{name.title().replace('_', '')}Entry")
        entry.options.map_entry = True
        _add_field(entry, 1, "string", "key")
        _add_field(entry, 2, kind.removeprefix("{}"), "value")
        field.label, kind = of_field.LABEL_REPEATED, f"{message.name}.{entry.name}"
    elif kind.startswith("*"):
        field.label, kind = of_field.LABEL_REPEATED, kind.removeprefix("*")
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type, field.type_name = of_field.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
