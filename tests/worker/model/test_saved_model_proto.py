"""What is read of a SavedModel without TensorFlow, compared with what TensorFlow reads."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor  # type: ignore[import-untyped] # comes with TensorFlow, no types
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2, tensor_bundle_pb2

from tests.support.graphs import pixel_graph, write_graph, write_saved_model
from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.saved_model_proto import (
    SAVED_MODEL,
    new_message,
    operations,
    read_graph,
    read_saved_model,
)
from tfleet.worker.model.signature import TensorInfo
from tfleet.worker.model.tensorflow import tf

pytestmark = pytest.mark.process


def _theirs(name: str) -> Any:
    """TensorFlow's own descriptor of a message."""
    for module in (saved_model_pb2, meta_graph_pb2, tensor_bundle_pb2):
        pool = module.DESCRIPTOR.pool
        # tensorflow.ListValue is another message.
        for scope in ("AttrValue.", "CollectionDef.", "MetaGraphDef.", "OpDef.", "TensorShapeProto.", ""):
            try:
                return pool.FindMessageTypeByName(f"tensorflow.{scope}{name}")
            except KeyError:
                continue
    raise KeyError(name)


def _is_map(field: Any) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


# Which field holds a map or a list does not change the wire: enumerations are read as numbers.
_AS_NUMBER = {FieldDescriptor.TYPE_ENUM: FieldDescriptor.TYPE_INT32}


@pytest.mark.parametrize(
    "name",
    [
        *("SavedModel", "MetaGraphDef", "MetaInfoDef", "SaverDef", "CollectionDef", "NodeList", "BytesList"),
        *("AssetFileDef", "SignatureDef", "TensorInfo", "GraphDef", "FunctionDefLibrary", "FunctionDef"),
        *("OpDef", "ArgDef", "NodeDef", "AttrValue", "ListValue", "NameAttrList", "TensorShapeProto", "Dim"),
        *("TensorProto", "BundleHeaderProto", "BundleEntryProto"),
    ],
)
def test_our_fields_are_tensorflows(name: str) -> None:
    theirs = {field.name: field for field in _theirs(name).fields}
    for field in new_message(name).DESCRIPTOR.fields:
        other = theirs[field.name]
        assert field.number == other.number, field.name
        assert field.is_repeated == other.is_repeated, field.name
        assert field.type == _AS_NUMBER.get(other.type, other.type), field.name
        assert _is_map(field) == _is_map(other), field.name
        if field.message_type is not None and not _is_map(field):
            assert field.message_type.name == other.message_type.name


def test_signatures_are_read_as_tensorflow_reads_them(tmp_path: Path) -> None:
    (graph,) = read_saved_model(write_saved_model(tmp_path / "m"))
    (signature,) = graph.signatures.values()
    assert graph.tags == ("serve",)
    assert graph.tensorflow_version == tf.__version__
    assert signature.inputs == (
        TensorInfo("picture", "serving_default_picture:0", "float32", (None, 8, 8, 3)),
    )
    assert [(info.name, info.shape) for info in signature.outputs] == [("shares", (None, 3))]


def test_the_operations_of_functions_are_found(tmp_path: Path) -> None:
    (graph,) = read_saved_model(write_saved_model(tmp_path / "m"))
    found = operations(graph.definition.graph_def)
    assert {"Softmax", "VarHandleOp", "StatefulPartitionedCall"} <= found
    assert not [name for name in found if name.startswith("__inference")], "calls of its own functions"


def test_a_frozen_graph_has_its_nodes_and_attributes(tmp_path: Path) -> None:
    graph = read_graph(write_graph(tmp_path / "g.pb", pixel_graph))
    (image,) = (node for node in graph.node if node.name == "image")
    assert image.op == "Placeholder"
    assert [dim.size for dim in image.attr["shape"].shape.dim] == [-1, 8, 8, 3]
    assert image.attr["dtype"].WhichOneof("value") == "type"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\x08\x01", "without a graph"),
        (b"\x08\x01\x12\x7f\x00", "is damaged or cut off"),
        (None, "cannot be read"),
    ],
)
def test_a_damaged_saved_model_is_one_line(tmp_path: Path, content: bytes | None, said: str) -> None:
    if content is not None:
        (tmp_path / SAVED_MODEL).write_bytes(content)
    with pytest.raises(ModelError, match=said):
        read_saved_model(tmp_path)


def test_reading_a_model_leaves_tensorflow_unimported(tmp_path: Path) -> None:
    write_saved_model(tmp_path / "m")
    code = (
        "import sys, pathlib; from tfleet.worker.model.saved_model_proto import read_saved_model;"
        "read_saved_model(pathlib.Path(sys.argv[1])); assert 'tensorflow' not in sys.modules;"
        "import tensorflow; from tensorflow.core.protobuf import saved_model_pb2"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "m")], check=True, timeout=60)
